#!/usr/bin/python3
"""Spawns `nft -f FILE` for each file named on standard input, and answers how many nanoseconds it took.

A process of its own, small and already in the right namespace: so the figure is nft's alone, and not that of a fork of
a large process.
"""

import signal
import subprocess
import sys
import time

# Whoever interrupts the bench; it ends this process itself.
signal.signal(signal.SIGINT, signal.SIG_IGN)

for line in sys.stdin:
    begin = time.perf_counter_ns()
    subprocess.run(["nft", "-f", line.rstrip("\n")], check=True)
    print(time.perf_counter_ns() - begin, flush=True)
