"""A client: asks every frontend port so many times, again where nothing comes, and prints what is not as it should be."""

import socket
import sys

front = ("203.0.113.10", "2001:db8:f::10")
expected = {500: (b"b1",), 501: (b"b2",), 80: (b"b1", b"b2")}


def ask(address, port, kind):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as sock:
        sock.settimeout(5)
        sock.connect((address, port))
        sock.send(b"who?")
        return sock.recv(64)


def patiently(address, port, kind):
    for _ in range(10):
        try:
            return ask(address, port, kind)
        except OSError as error:
            failure = error
    return repr(failure).encode()


for _ in range(int(sys.argv[1])):
    for address in front:
        for port, machines in expected.items():
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                if port == 80 and kind == socket.SOCK_DGRAM:
                    continue
                answer = patiently(address, port, kind)
                if answer not in machines:
                    print(f"{address} {port} {kind.name}: {answer.decode()}", flush=True)
