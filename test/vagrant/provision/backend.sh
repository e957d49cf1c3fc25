#!/usr/bin/env bash
# What starts servers on a backend, when the demo asks for a machine on it.
# Usage: backend.sh CHECKOUT
set -euo pipefail
servers=$1/test/lab/servers
directory=/var/lib/penstock-machines
for program in python3 openssl; do
  command -v "$program" >/dev/null && continue
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends --yes python3 openssl >/dev/null
done
install -d "$directory/health"
if [[ ! -s $directory/server.pem ]]; then
  openssl req -x509 -nodes -days 3650 -subj /CN=penstock-lab -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
    -keyout "$directory/key" -out "$directory/certificate" 2>/dev/null
  cat "$directory/key" "$directory/certificate" >"$directory/server.pem"
fi
cat >/etc/systemd/system/penstock-machines.service <<END
[Unit]
Description=Servers of Penstock's lab
After=penstock-lab-network.service
[Service]
ExecStart=/usr/bin/python3 $servers/servers.py /run/penstock-machines.sock $directory/server.pem $directory/health
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl --quiet enable penstock-machines
systemctl restart penstock-machines
