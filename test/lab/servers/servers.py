#!/usr/bin/python3
"""The servers of a lab's machines: HTTP, TLS and UDP, each saying which machine answers.

One parent waits on a control socket and forks a process per machine, which moves into the machine's network
namespace. A fork costs a few milliseconds and shares the interpreter's memory, so a thousand machines fit on a small
host. Usage: servers.py CONTROL_SOCKET CERTIFICATE HEALTH_DIRECTORY
"""

import asyncio
import ctypes
import json
import os
import signal
import socket
import ssl
import struct
import sys
import urllib.parse

CLONE_NEWNET = 0x40000000
IP_PKTINFO = 8  # Python has the name since 3.12 only.
SO_RCVBUFFORCE = 33  # asm-generic/socket.h: beyond the host's limit, which root may.
# Bytes of datagrams that wait, a few thousand: a process that gets no turn for a second shall lose none.
DATAGRAMS_HELD = 4 * 1024 * 1024
REASONS = {200: "OK", 503: "Service Unavailable"}


def enter_network(path):
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns", path)
    os.close(descriptor)


class Machine:
    def __init__(self, order, certificate, health_directory):
        self.name = order["machine"]
        self.order = order
        # A machine that shares its network with others has addresses of its own there.
        self.addresses = order.get("addresses", ["0.0.0.0", "::"])
        self.health_file = os.path.join(health_directory, self.name)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate)

    async def run(self, ready):
        for scheme, ports, tls in (("http", self.order["http"], None), ("https", self.order["https"], self.tls)):
            for port in ports:
                await asyncio.start_server(
                    lambda reader, writer, scheme=scheme: self.converse(scheme, reader, writer),
                    self.addresses,
                    port,
                    backlog=1024,
                    ssl=tls,
                )
        for port in self.order["udp"]:
            for address in self.addresses:
                self.listen_udp(address, port)
        ready()
        await asyncio.Event().wait()

    def answer(self, scheme, local, client):
        return {
            "machine": self.name,
            "scheme": scheme,
            "address": local[0],
            "port": local[1],
            "client": client[0],
            "clientPort": client[1],
        }

    async def converse(self, scheme, reader, writer):
        """One connection; requests follow each other on it until the client closes."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                request, *lines = head.split("\r\n")
                headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
                await reader.readexactly(int(headers.get("content-length", 0)))
                url = urllib.parse.urlsplit(request.split(" ")[1])
                query = dict(urllib.parse.parse_qsl(url.query))
                await asyncio.sleep(int(query.get("delay", 0)) / 1000)
                status = self.health() if url.path == "/health" else 200
                body = self.answer(scheme, writer.get_extra_info("sockname"), writer.get_extra_info("peername"))
                body["padding"] = "x" * int(query.get("bytes", 0))
                content = json.dumps({k: v for k, v in body.items() if v != ""}).encode() + b"\n"
                last = headers.get("connection", "").lower() == "close" or " HTTP/1.0" in request
                writer.write(
                    f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(content)}\r\nConnection: {'close' if last else 'keep-alive'}\r\n\r\n".encode()
                    + content
                )
                await writer.drain()
                if last:
                    break
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ssl.SSLError, TimeoutError):
            pass
        finally:
            writer.close()

    def health(self):
        try:
            with open(self.health_file, encoding="ascii") as file:
                return int(file.read())
        except FileNotFoundError:
            return 200

    def listen_udp(self, address, port):
        """Answers from the address that was asked: a machine may hold several, a frontend's among them."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        server = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            server.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        server.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, DATAGRAMS_HELD)
        server.bind((address, port))
        asyncio.get_running_loop().add_reader(server, self.echo, server, family, port)

    def echo(self, server, family, port):
        try:
            payload, ancillary, _, client = server.recvmsg(65535, 256)
        except OSError:
            return
        for level, kind, value in ancillary:
            if family == socket.AF_INET6 and kind == socket.IPV6_PKTINFO:
                address = socket.inet_ntop(family, value[:16])
                origin = [(level, kind, value[:16] + struct.pack("i", 0))]
                break
            if family == socket.AF_INET and kind == IP_PKTINFO:
                address = socket.inet_ntop(family, value[8:12])
                origin = [(level, kind, struct.pack("i4s4s", 0, value[8:12], value[8:12]))]
                break
        else:
            return
        body = self.answer("udp", (address, port), client)
        body["bytes"] = len(payload)
        body["payload"] = payload[:256].decode("latin-1")
        try:
            server.sendmsg([json.dumps(body).encode()], origin, 0, client)
        except OSError:
            pass


def be_machine(connection, order, certificate, health_directory):
    def ready():
        connection.sendall(b'{"pid":%d}\n' % os.getpid())
        connection.close()

    try:
        if "namespace" in order:
            enter_network(order["namespace"])
        asyncio.run(Machine(order, certificate, health_directory).run(ready))
    except Exception as error:  # Whatever it is, who gave the order has to know.
        connection.sendall(json.dumps({"error": str(error)}).encode() + b"\n")
        os._exit(1)


def main(control, certificate, health_directory):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # The kernel reaps.
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(control + ".new")
    listener.listen(128)
    os.rename(control + ".new", control)  # Who sees the socket can connect.
    while True:
        connection, _ = listener.accept()
        order = json.loads(connection.makefile("r").readline())
        if os.fork() == 0:
            listener.close()
            be_machine(connection, order, certificate, health_directory)
        connection.close()


main(*sys.argv[1:])
