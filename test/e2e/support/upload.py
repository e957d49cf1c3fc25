"""A request with a head of many kilobytes: `upload.py ADDRESS PORT BYTES`. Prints who answered, how many bytes the answer
had, and the path MTU that the kernel knows by then."""

import json
import socket
import sys

address, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
with socket.socket(family, socket.SOCK_STREAM) as connection:
    connection.settimeout(10)
    connection.connect((address, port))
    head = f"GET /?bytes={size} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nX-Padding: {'x' * size}\r\n\r\n"
    connection.sendall(head.encode())
    answer = b""
    while part := connection.recv(65536):
        answer += part
    level, option = (socket.IPPROTO_IP, 14) if family == socket.AF_INET else (socket.IPPROTO_IPV6, 24)
    mtu = connection.getsockopt(level, option)
body = json.loads(answer.split(b"\r\n\r\n", 1)[1])
print(json.dumps({"machine": body["machine"], "whole": len(body["padding"]) == size, "mtu": mtu}))
