#!/usr/bin/env bash
# Penstock's agent as a service. /etc/default/penstock chooses the data plane.
# Usage: gateway.sh CHECKOUT
set -euo pipefail
checkout=$1
bash "$checkout/test/vagrant/provision/checkout.sh" "$checkout" --run
# Node keeps what it has made of the sources: starting from them takes an emulated processor long.
cat >/usr/local/bin/penstock <<END
#!/bin/sh
NODE_COMPILE_CACHE=/var/cache/penstock exec $checkout/scripts/penstock "\$@"
END
chmod 755 /usr/local/bin/penstock
[[ -e /etc/default/penstock ]] || echo 'PENSTOCK_ARGUMENTS=--dataplane=nftables' >/etc/default/penstock
cat >/etc/systemd/system/penstock.service <<'END'
[Unit]
Description=Penstock gateway agent
After=network.target
[Service]
Type=notify
NotifyAccess=all
EnvironmentFile=/etc/default/penstock
ExecStart=/usr/local/bin/penstock agent $PENSTOCK_ARGUMENTS
RuntimeDirectory=penstock
RuntimeDirectoryMode=0750
StateDirectory=penstock
StateDirectoryMode=0700
Restart=always
# An emulated machine needs a while.
TimeoutStartSec=300
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl --quiet enable penstock
systemctl restart penstock
penstock status
