#!/usr/bin/python3
"""Datagrams with what an ordinary client does not set: sizes, IP options, a hop limit. Prints JSON.

  datagrams.py echo PORT [options]                        answers each datagram with itself; "ready" when it listens
  datagrams.py ask ADDRESS PORT COUNT BYTES [options]     one after the other; {"answered": N, "wrong": N}
  datagrams.py expire ADDRESS PORT HOPS                   who says that a datagram with so few hops is gone
  datagrams.py listen PORT                                "ready", then the text of datagrams as they come, until "end"
"""

import json
import os
import socket
import struct
import sys

SLOWNESS = float(os.environ.get("PENSTOCK_SLOWNESS", 1))

IP_RECVERR, IPV6_RECVERR, IPV6_DSTOPTS, IP_MTU_DISCOVER, IPV6_MTU_DISCOVER = 11, 25, 59, 10, 23
DONT = 0


def with_options(sender):
    """Four bytes of "no operation"; a destination header of padding."""
    if sender.family == socket.AF_INET6:
        sender.setsockopt(socket.IPPROTO_IPV6, IPV6_DSTOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0]))
    else:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x01\x01\x01\x01")


def datagram_socket(address, options=()):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    # Large ones are cut up by the sender, as often as it takes.
    if family == socket.AF_INET:
        made.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, DONT)
    else:
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, DONT)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if "options" in options:
        with_options(made)
    return made


def echo(port, *options):
    import selectors

    ready = selectors.DefaultSelector()
    for address in ("0.0.0.0", "::"):
        server = datagram_socket(address, options)
        server.bind((address, int(port)))
        ready.register(server, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in ready.select():
            payload, client = key.fileobj.recvfrom(65535)
            key.fileobj.sendto(payload, client)


def ask(address, port, count, size, *options):
    client = datagram_socket(address, options)
    client.connect((address, int(port)))
    client.settimeout(3 * SLOWNESS)
    answered = wrong = 0
    for number in range(int(count)):
        payload = struct.pack("!I", number) * (int(size) // 4)
        try:
            client.send(payload)
            wrong += client.recv(65535) != payload
            answered += 1
        except OSError:
            pass
    print(json.dumps({"answered": answered, "wrong": wrong}))


def expire(address, port, hops):
    client = datagram_socket(address)
    six = client.family == socket.AF_INET6
    level = socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP
    client.setsockopt(level, socket.IPV6_UNICAST_HOPS if six else socket.IP_TTL, int(hops))
    client.setsockopt(level, IPV6_RECVERR if six else IP_RECVERR, 1)
    client.connect((address, int(port)))
    client.settimeout(3 * SLOWNESS)
    client.send(b"hops")
    try:
        client.recv(100)
        print(json.dumps({"answered": 1}))
        return
    except TimeoutError:
        print(json.dumps({"silence": 1}))
        return
    except OSError:
        pass
    _, ancillary, _, target = client.recvmsg(100, 512, socket.MSG_ERRQUEUE)
    error = ancillary[0][2]
    kind, code = error[5], error[6]
    offender = socket.inet_ntop(client.family, error[24:40] if six else error[20:24])
    print(json.dumps({"type": kind, "code": code, "by": offender, "asked": target[0], "port": target[1]}))


def listen(port):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", int(port)))
    print("ready", flush=True)
    heard = []
    while "end" not in heard:
        heard.append(server.recv(100).decode())
    print(json.dumps(heard))


{"echo": echo, "ask": ask, "expire": expire, "listen": listen}[sys.argv[1]](*sys.argv[2:])
