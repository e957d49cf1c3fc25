"""A machine: answers its name to each connection on TCP 80 and 8080, and to each datagram on UDP 5300."""

import socket
import sys
import threading

name = sys.argv[1].encode()


def serve_tcp(port):
    server = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    while True:
        connection, _ = server.accept()
        with connection:
            connection.recv(64)
            connection.sendall(name)


for tcp_port in (80, 8080):
    threading.Thread(target=serve_tcp, args=(tcp_port,)).start()
# Of two families, so that the answer leaves by the address that was asked.
four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def serve_udp(sock):
    sock.bind(("", 5300))
    while True:
        _, asker = sock.recvfrom(64)
        sock.sendto(name, asker)


threading.Thread(target=serve_udp, args=(four,)).start()
serve_udp(six)
