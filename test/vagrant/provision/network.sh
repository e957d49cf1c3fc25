#!/usr/bin/env bash
# Gives a machine the lab's interfaces, addresses and routes, now and at each start.
# Usage: network.sh [INTERFACE,MAC,IPV4,IPV6 | NETWORK=ROUTER]...
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"
installed=/usr/local/sbin/penstock-lab-network

if [[ $(readlink -f "$0") != "$installed" ]]; then
  install -m 755 "$0" "$installed"
  cat >/etc/systemd/system/penstock-lab-network.service <<END
[Unit]
Description=Interfaces of Penstock's lab
After=network.target
Before=penstock.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=$installed $*
[Install]
WantedBy=multi-user.target
END
  systemctl daemon-reload
  systemctl --quiet enable penstock-lab-network
  systemctl restart penstock-lab-network
  exit
fi

# The interface with this MAC address, whatever the system calls it.
find_interface() {
  local address
  for address in /sys/class/net/*/address; do
    [[ $(tr -d : <"$address") == "$1" ]] || continue
    basename "$(dirname "$address")"
    return
  done
  printf 'network: no interface has the MAC address %s\n' "$1" >&2
  return 1
}

for argument in "$@"; do
  if [[ $argument == *=* ]]; then
    ip route replace "${argument%%=*}" via "${argument#*=}"
    continue
  fi
  IFS=, read -r name mac ipv4 ipv6 <<<"$argument"
  found=$(find_interface "$mac")
  ip link set "$found" down
  [[ $found == "$name" ]] || ip link set "$found" name "$name"
  # Addresses by hand alone, and at once: the kernel would first look for duplicates of its own.
  ip link set "$name" addrgenmode none
  ip address flush dev "$name"
  ip link set "$name" up
  ip address replace "$ipv4" dev "$name"
  ip address replace "$ipv6" dev "$name" nodad
  # The last digits are the machine's in all its addresses.
  ip address replace "fe80::${ipv6##*::}" dev "$name" nodad
  sysctl -qw "net.ipv4.conf.$name.rp_filter=0"
done
sysctl -qw net.ipv4.conf.all.rp_filter=0
