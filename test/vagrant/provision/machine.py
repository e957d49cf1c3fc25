#!/usr/bin/python3
"""Lets a machine of the demo appear on a backend, with addresses and servers of its own, or disappear again.

Usage: machine.py up ORDER, with the order in JSON as servers.py takes it; machine.py down NAME ADDRESS...
"""

import json
import os
import signal
import socket
import subprocess
import sys

DIRECTORY = "/run/penstock-machines"
INTERFACE = "lan0"


def address(verb, which):
    length, *nodad = ("64", "nodad") if ":" in which else ("16",)
    subprocess.run(["ip", "address", verb, f"{which}/{length}", "dev", INTERFACE, *nodad], check=verb == "replace")


def end(name):
    file = os.path.join(DIRECTORY, name)
    try:
        with open(file, encoding="ascii") as text:
            os.kill(int(text.read()), signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        return
    os.unlink(file)


def up(order):
    end(order["machine"])
    for which in order["addresses"]:
        address("replace", which)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.connect("/run/penstock-machines.sock")
        control.sendall(json.dumps(order).encode() + b"\n")
        answer = json.loads(control.makefile("r").readline())
    if "error" in answer:
        sys.exit(f"The servers of {order['machine']} do not start: {answer['error']}")
    os.makedirs(DIRECTORY, exist_ok=True)
    with open(os.path.join(DIRECTORY, order["machine"]), "w", encoding="ascii") as file:
        file.write(str(answer["pid"]))


def down(name, addresses):
    end(name)
    for which in addresses:
        address("delete", which)


if sys.argv[1] == "up":
    up(json.loads(sys.argv[2]))
else:
    down(sys.argv[2], sys.argv[3:])
