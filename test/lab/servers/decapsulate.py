#!/usr/bin/python3
"""Takes the outer header off packets within packets, for kernels without the modules ipip and ip6_tunnel.

What comes in for an address of this host within IPv4 (protocol 4) or IPv6 (41) is handed to the kernel through a TUN
interface, as if it had come by a tunnel. Usage: decapsulate.py; prints a line when it is ready.
"""

import fcntl
import os
import selectors
import socket
import struct
import subprocess

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
MAXIMUM = 65535

tunnel = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tunnel, TUNSETIFF, struct.pack("16sH", b"decapsulated", IFF_TUN | IFF_NO_PI))
subprocess.run(["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.decapsulated.rp_filter=0"], check=True)
subprocess.run(["ip", "link", "set", "decapsulated", "up"], check=True)

inner4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IPIP)
inner6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_IPV6)
selector = selectors.DefaultSelector()
for each in (inner4, inner6):
    each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    selector.register(each, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in selector.select():
        packet = key.fileobj.recv(MAXIMUM)
        # Raw sockets of IPv4 give the outer header as well (raw(7)), those of IPv6 do not (ipv6(7)).
        if key.fileobj is inner4:
            packet = packet[(packet[0] & 15) * 4 :]
        os.write(tunnel, packet)
