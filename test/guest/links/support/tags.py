#!/usr/bin/python3
"""Which VLAN tags the packets of TCP and UDP carry that come in by an interface.

  tags.py INTERFACE     "ready" when it listens; at the end of its input {"TAGS": frames, ...}, TAGS as "88a8.200 8100.7"
"""

import json
import selectors
import socket
import struct
import sys

ETH_P_ALL, SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING, VLAN_VALID = 3, 263, 8, 4, 16
TAGGED = (0x8100, 0x88A8)


def tags_of(frame, ancillary):
    """The kernel has taken the outer tag off, and says so beside the frame."""
    tags = []
    for _, _, data in ancillary:
        status, _, _, _, _, word, protocol = struct.unpack("IIIHHHH", data[:20])
        if status & VLAN_VALID:
            tags.append((protocol, word))
    at = 12
    while (kind := struct.unpack_from("!H", frame, at)[0]) in TAGGED:
        tags.append((kind, struct.unpack_from("!H", frame, at + 2)[0]))
        at += 4
    protocol = {0x0800: lambda: frame[at + 11], 0x86DD: lambda: frame[at + 8]}.get(kind, lambda: None)()
    if protocol not in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
        return None
    return " ".join(f"{kind:04x}.{word & 0xFFF}" for kind, word in tags)


def main(interface):
    ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    ear.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    ear.bind((interface, ETH_P_ALL))
    ready = selectors.DefaultSelector()
    ready.register(ear, selectors.EVENT_READ)
    ready.register(sys.stdin, selectors.EVENT_READ)
    print("ready", flush=True)
    found = {}
    while True:
        for key, _ in ready.select():
            if key.fileobj is sys.stdin:
                print(json.dumps(found), flush=True)
                return
            frame, ancillary, _, address = ear.recvmsg(200, 100)
            tags = None if address[2] == PACKET_OUTGOING else tags_of(frame, ancillary)
            if tags is not None:
                found[tags] = found.get(tags, 0) + 1


main(sys.argv[1])
