#!/usr/bin/python3
"""Sends prepared UDP packets as fast as the kernel takes them, and says how long each batch took.

On a veth the whole way of a packet, through the gateway to the machine, is worked off before the system call that sent
it returns: so the time of the call is the cost of the packet. Reads one JSON order a line, answers one JSON line each:
  {"prepare": NAME, "file": PATH}                       12 bytes a packet: source, port, destination, port
  {"send": NAME, "count": N, "repeat": N}               answers the nanoseconds of each batch, and its packets
"""

import ctypes
import json
import os
import signal
import socket
import struct
import sys
import time

BATCH = 1000
PAYLOAD = b"penstock bench pkt"


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class Msghdr(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class Mmsghdr(ctypes.Structure):
    _fields_ = [("hdr", Msghdr), ("len", ctypes.c_uint32)]


class Packets:
    """The messages of one set of flows, laid out once for sendmmsg(2)."""

    def __init__(self, path):
        with open(path, "rb") as file:
            plan = file.read()
        self.count = len(plan) // 12
        length = 28 + len(PAYLOAD)
        self.data = ctypes.create_string_buffer(self.count * length)
        self.names = ctypes.create_string_buffer(self.count * 16)
        self.iovecs = (Iovec * self.count)()
        self.messages = (Mmsghdr * self.count)()
        data, names = ctypes.addressof(self.data), ctypes.addressof(self.names)
        iovecs = ctypes.addressof(self.iovecs)
        for index in range(self.count):
            source, sport, destination, dport = struct.unpack_from("!4sH4sH", plan, index * 12)
            # The kernel fills in length and checksum; a UDP checksum of 0 means none.
            ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length, index & 0xFFFF, 0, 64, 17, 0, source, destination)
            udp = struct.pack("!HHHH", sport, dport, 8 + len(PAYLOAD), 0)
            ctypes.memmove(data + index * length, ip + udp + PAYLOAD, length)
            name = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", 0, destination)
            ctypes.memmove(names + index * 16, name, 16)
            self.iovecs[index] = Iovec(data + index * length, length)
            self.messages[index].hdr = Msghdr(
                names + index * 16, 16, iovecs + index * ctypes.sizeof(Iovec), 1, None, 0, 0
            )


def send(libc, descriptor, packets, count, repeat):
    size = ctypes.sizeof(Mmsghdr)
    start = ctypes.addressof(packets.messages)
    times, sizes = [], []
    for _ in range(repeat):
        for at in range(0, count, BATCH):
            number = min(BATCH, count - at)
            pointer = ctypes.c_void_p(start + at * size)
            begin = time.perf_counter_ns()
            sent = libc.sendmmsg(descriptor, pointer, number, 0)
            times.append(time.perf_counter_ns() - begin)
            sizes.append(number)
            if sent != number:
                raise OSError(ctypes.get_errno(), f"sent {sent} of {number} packets")
    return {"nanoseconds": times, "packets": sizes}


def main():
    # Whoever interrupts the bench; it ends this process itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A batch that moves to another core would pay for cold caches.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    libc = ctypes.CDLL(None, use_errno=True)
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
    prepared = {}
    for line in sys.stdin:
        order = json.loads(line)
        if "prepare" in order:
            prepared[order["prepare"]] = Packets(order["file"])
            answer = {"packets": [prepared[order["prepare"]].count]}
        else:
            packets = prepared[order["send"]]
            answer = send(libc, raw.fileno(), packets, order["count"], order["repeat"])
        print(json.dumps(answer), flush=True)


main()
