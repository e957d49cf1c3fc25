#!/usr/bin/env bash
# Starts the gateway's agent anew with this data plane, and with nothing declared.
# Usage: fresh.sh nftables|xdp
set -euo pipefail
systemctl stop penstock
[[ ! -e /var/lib/penstock/penstock.db ]] || penstock flush >/dev/null
rm -rf /var/lib/penstock
arguments=--dataplane=$1
# The interfaces are named, or XDP would also take packets from the one that Vagrant uses.
[[ $1 != xdp ]] || arguments+=' --interface wan0 --interface lan0'
printf 'PENSTOCK_ARGUMENTS=%s\n' "$arguments" >/etc/default/penstock
systemctl start penstock
