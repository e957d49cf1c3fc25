#!/usr/bin/python3
"""One ICMP echo request; prints who answers it, or fails after two seconds. Not every host has ping(8)."""

import os
import socket
import struct
import sys

SLOWNESS = float(os.environ.get("PENSTOCK_SLOWNESS", 1))


def checksum(message):
    total = sum(struct.unpack(f"!{len(message) // 2}H", message))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def main(address):
    six = ":" in address
    request, reply = (128, 129) if six else (8, 0)
    body = struct.pack("!HH", os.getpid() & 0xFFFF, 1) + b"penstock"
    # The kernel fills in ICMPv6's checksum.
    code = 0 if six else checksum(struct.pack("!BBH", request, 0, 0) + body)
    family, protocol = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if six else (socket.AF_INET, socket.IPPROTO_ICMP)
    with socket.socket(family, socket.SOCK_RAW, protocol) as echo:
        echo.settimeout(2 * SLOWNESS)
        echo.sendto(struct.pack("!BBH", request, 0, code) + body, (address, 0))
        while True:
            packet, origin = echo.recvfrom(1024)
            message = packet if six else packet[(packet[0] & 15) * 4 :]
            if message[0] == reply and message[4:] == body:
                print(origin[0])
                return


main(sys.argv[1])
