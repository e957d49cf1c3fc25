#!/usr/bin/python3
"""A machine that itself calls others, from the port that it serves on.

  caller.py ADDRESS PORT OWN_PORT     a TCP connection and datagrams; asks once for each line of its input, and prints
                                      "tcp udp", each "right" or what went wrong; first of all "ready"
"""

import os
import socket
import sys

SLOWNESS = float(os.environ.get("PENSTOCK_SLOWNESS", 1))


def called(sock, text):
    try:
        sock.sendall(text)
        return "right" if sock.recv(100) == text else "wrong"
    except OSError as error:
        return type(error).__name__


def main(address, port, own_port):
    sockets = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        sock = socket.socket(socket.AF_INET, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("0.0.0.0", int(own_port)))
        sock.settimeout(5 * SLOWNESS)
        sock.connect((address, int(port)))
        sockets.append(sock)
    print("ready", flush=True)
    for line in sys.stdin:
        print(*(called(sock, line.encode()) for sock in sockets), flush=True)


main(*sys.argv[1:])
