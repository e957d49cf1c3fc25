#!/bin/bash
# wires.sh CARDS COMMAND...: runs QEMU in a network of its own, with a tap for each card; cards 1 and 2 are wired together,
# 3 and 4, and so on. Hubs inside of QEMU have one queue pair only, and no offloads.
set -eu
cards=$1
shift
for ((card = 1; card <= cards; card += 1)); do
  wire=wire$(((card + 1) / 2))
  if ((card % 2)); then
    ip link add "$wire" type bridge forward_delay 0 mcast_snooping 0
    ip link set "$wire" addrgenmode none up
  fi
  ip tuntap add "nic$card" mode tap multi_queue vnet_hdr
  ip link set "nic$card" addrgenmode none master "$wire" up
done
exec "$@"
