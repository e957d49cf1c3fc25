#!/bin/bash
# The other machine: a client and two machines in namespaces, each side on a card of its own.
set -eu
here=$(dirname "$0")
output=$PENSTOCK_VM_OUTPUT
for device in /sys/class/net/*; do
  case $(<"$device/address") in
    52:54:00:00:00:03) client=${device##*/} ;;
    52:54:00:00:00:04) machines=${device##*/} ;;
  esac
done

ip netns add client
ip link set "$client" netns client name eth0
ip -n client link set eth0 addrgenmode none up
ip -n client address add 198.51.100.10/24 dev eth0
ip -n client address add 2001:db8:c::10/64 dev eth0 nodad
ip -n client address add fe80::10/64 dev eth0 nodad
ip -n client route add 203.0.113.0/24 via 198.51.100.1
ip -n client route add 2001:db8:f::/64 via 2001:db8:c::1

ip link add lan type bridge forward_delay 0 mcast_snooping 0
ip link set lan addrgenmode none up
ip link set "$machines" addrgenmode none master lan up
for number in 1 2; do
  name=b$number host=$((number + 3))
  ip netns add "$name"
  ip link add "$name" type veth peer name eth0 netns "$name"
  ip link set "$name" addrgenmode none master lan up
  ip -n "$name" link set eth0 addrgenmode none up
  ip -n "$name" address add "10.0.0.$host/16" dev eth0
  ip -n "$name" address add "fd00:10::$host/64" dev eth0 nodad
  ip -n "$name" address add "fe80::$host/64" dev eth0 nodad
  ip -n "$name" route add default via 10.0.0.1
  ip -n "$name" route add default via fd00:10::1
  ip netns exec "$name" python3 "$here/serve.py" "$name" &
done

until [[ -e $output/ready ]]; do sleep 0.2; done
ip netns exec client python3 "$here/ask.py" 1 >"$output/complaints-warm"
touch "$output/warm"
until [[ -e $output/go ]]; do sleep 0.2; done
ip netns exec client python3 "$here/ask.py" 10 >"$output/complaints"
touch "$output/done"
