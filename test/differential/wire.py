#!/usr/bin/python3
"""One end of a cable: sends the frames that standard input names, and says which frames come in.

Lines of standard input: HEX ... (frames to send, blanks between them). Lines of standard output: HEX (a frame that came
in). Usage: wire.py INTERFACE
"""

import os
import select
import socket
import sys

PACKET_OUTGOING = 4
ETH_P_ALL = 3


def main(interface):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
    wire.bind((interface, ETH_P_ALL))
    wire.setblocking(False)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    waiting = b""
    while True:
        readable, _, _ = select.select([wire, 0], [], [])
        if wire in readable:
            heard = []
            try:
                while True:
                    frame, address = wire.recvfrom(65535)
                    if address[2] != PACKET_OUTGOING:
                        heard.append(frame.hex())
            except BlockingIOError:
                pass
            if heard:
                sys.stdout.write("\n".join(heard) + "\n")
                sys.stdout.flush()
        if 0 in readable:
            chunk = os.read(0, 1 << 20)
            if not chunk:
                return
            *lines, waiting = (waiting + chunk).split(b"\n")
            for line in lines:
                for frame in line.split():
                    wire.send(bytes.fromhex(frame.decode()))


main(*sys.argv[1:])
