#!/bin/bash
# The gateway's machine: an agent on XDP between two cards. Takes down what drivers and kernel count before and after the
# other machine has asked, and what the agent says.
set -eu
export PATH=$PWD/scripts:$PATH PENSTOCK_ADDRESS=unix:/tmp/penstock.sock
output=$PENSTOCK_VM_OUTPUT
wait_for() { until [[ -e $output/$1 ]]; do sleep 0.2; done; }

for device in /sys/class/net/*; do
  case $(<"$device/address") in
    52:54:00:00:00:01) ip link set "${device##*/}" name wan0 ;;
    52:54:00:00:00:02) ip link set "${device##*/}" name lan0 ;;
  esac
done
ip link set wan0 addrgenmode none up
ip link set lan0 addrgenmode none up
ip address add 198.51.100.1/24 dev wan0
ip address add 2001:db8:c::1/64 dev wan0 nodad
ip address add fe80::1/64 dev wan0 nodad
ip address add 10.0.0.1/16 dev lan0
ip address add fd00:10::1/64 dev lan0 nodad
ip address add fe80::1/64 dev lan0 nodad

penstock agent --dataplane xdp --state-directory /tmp/state --listen "$PENSTOCK_ADDRESS" >"$output/agent.log" 2>&1 &
until penstock status >/dev/null 2>&1; do
  kill -0 $!
  sleep 0.5
done
penstock apply -f "$(dirname "$0")/rules.yaml"

counters() {
  cat /proc/net/snmp /proc/net/snmp6 >"$output/stack-$1"
  ethtool -S wan0 >"$output/wan0-$1"
  ethtool -S lan0 >"$output/lan0-$1"
}
touch "$output/ready"
wait_for warm
counters before
touch "$output/go"
wait_for done
counters after
penstock status -o json >"$output/status.json"
ip -json -details link show >"$output/links.json"
