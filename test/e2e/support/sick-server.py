"""A machine's server that misbehaves in the way of the day, for health probes. Usage: sick-server.py PORT FILE

FILE holds the way: `well`, `status N`, `silent`, `garbage`, `endless-header`, `endless-body`, `drip`, `hang-up`. It is read
anew for each connection; a line on standard output says that the server listens.
"""

import asyncio
import sys

PORT, FILE = int(sys.argv[1]), sys.argv[2]


def way():
    with open(FILE, encoding="ascii") as file:
        return file.read().split()


async def flood(writer, piece):
    while not writer.is_closing():
        writer.write(piece)
        await writer.drain()


async def converse(reader, writer):
    kind, *rest = way()
    try:
        if kind == "garbage":
            writer.write(b"\x00\x01\x02 what?\r\n\r\n" * 10)
        elif kind == "hang-up":
            return
        elif kind == "silent":
            await asyncio.sleep(3600)
        else:
            await reader.readuntil(b"\r\n\r\n")
            if kind == "well":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            elif kind == "status":
                writer.write(b"HTTP/1.1 %s Status\r\nLocation: /\r\nContent-Length: 0\r\n\r\n" % rest[0].encode())
            elif kind == "drip":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                while True:
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.05)
            elif kind == "endless-header":
                writer.write(b"HTTP/1.1 200 OK\r\n")
                await flood(writer, b"X-Filler: " + b"x" * 1000 + b"\r\n")
            elif kind == "endless-body":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                await flood(writer, b"x" * 10000)
        await writer.drain()
        await asyncio.sleep(0.2)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(converse, ["0.0.0.0", "::"], PORT)
    print("listening", flush=True)
    await server.serve_forever()


asyncio.run(main())
