#!/usr/bin/python3
"""Echoes on a port, over TCP and UDP.  answerer.py PORT; "ready" when it listens."""

import asyncio
import sys


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, payload, client):
        self.transport.sendto(payload, client)


async def converse(reader, writer):
    while text := await reader.read(100):
        writer.write(text)
        await writer.drain()
    writer.close()


async def main(port):
    await asyncio.start_server(converse, "0.0.0.0", int(port))
    await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, ("0.0.0.0", int(port)))
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(sys.argv[1]))
