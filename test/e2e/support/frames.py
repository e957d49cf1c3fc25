#!/usr/bin/python3
"""Sends frames with any source address, past the sender's own kernel.

  frames.py one INTERFACE TARGET_MAC SOURCE PORT DESTINATION PORT TEXT     a datagram, ten times
  frames.py flood INTERFACE TARGET_MAC KIND DESTINATION PORT COUNT         of syn, ack or udp; each from another client
"""

import random
import socket
import struct
import sys


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def ethernet(interface, target):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind((interface, 0))
    own = raw.getsockname()[4]
    return raw, bytes.fromhex(target.replace(":", "")) + own + b"\x08\x00"


def ip_header(length, protocol, source, destination):
    fields = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + length, 1, 0, 64, protocol, 0, source, destination)
    return fields[:10] + struct.pack("!H", checksum(fields)) + fields[12:]


def one(interface, target, source, source_port, destination, port, text):
    raw, ether = ethernet(interface, target)
    body = text.encode()
    # Without a checksum of its own, which IPv4 allows.
    datagram = struct.pack("!HHHH", int(source_port), int(port), 8 + len(body), 0) + body
    header = ip_header(len(datagram), 17, socket.inet_aton(source), socket.inet_aton(destination))
    for _ in range(10):
        raw.send(ether + header + datagram)


def flood(interface, target, kind, destination, port, count):
    raw, ether = ethernet(interface, target)
    raw.setsockopt(263, 20, 1)  # SOL_PACKET, PACKET_QDISC_BYPASS
    flags = {"syn": 0x02, "ack": 0x10}.get(kind, 0)
    to = socket.inet_aton(destination)
    draw = random.Random(int(port)).getrandbits
    for _ in range(int(count)):
        bits = draw(64)
        source = b"\xc6\x12" + struct.pack("!H", bits & 0xFFFF)  # 198.18.0.0/16, kept for benchmarks (RFC 2544)
        source_port = 1024 + (bits >> 16) % 60000
        if kind == "udp":
            segment = struct.pack("!HHHH", source_port, int(port), 12, 0) + b"spam"
            protocol = 17
        else:
            segment = struct.pack("!HHIIBBHHH", source_port, int(port), bits >> 32, 1, 0x50, flags, 65535, 0, 0)
            protocol = 6
            pseudo = source + to + struct.pack("!BBH", 0, protocol, len(segment))
            segment = segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]
        try:
            raw.send(ether + ip_header(len(segment), protocol, source, to) + segment)
        except OSError:
            pass  # The other end has no room: lost, as on any wire.


{"one": one, "flood": flood}[sys.argv[1]](*sys.argv[2:])
