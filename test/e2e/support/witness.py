#!/usr/bin/python3
"""Tells whom it sees, over TCP and UDP, as the lab's machines tell their names.  witness.py PORT...; "ready" when it listens."""

import asyncio
import json
import socket
import sys


def seen(peer):
    host, port = peer[0], peer[1]
    return "[%s]:%d" % (host, port) if ":" in host else "%s:%d" % (host, port)


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, payload, peer):
        answer = {"machine": seen(peer), "payload": payload.decode()}
        self.transport.sendto(json.dumps(answer).encode(), peer)


async def converse(reader, writer):
    peer = seen(writer.get_extra_info("peername"))
    try:
        while await reader.read(1000):
            writer.write(json.dumps({"machine": peer}).encode() + b"\n")
            await writer.drain()
    except OSError:
        pass
    writer.close()


def datagrams(host, port):
    """Of one family only, which asyncio does not do for datagrams."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    s = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((host, port))
    s.setblocking(False)
    return s


async def main(ports):
    loop = asyncio.get_running_loop()
    for port in map(int, ports):
        for host in ("0.0.0.0", "::"):
            await asyncio.start_server(converse, host, port)
            await loop.create_datagram_endpoint(Datagrams, sock=datagrams(host, port))
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(sys.argv[1:]))
