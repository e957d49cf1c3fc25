#!/usr/bin/env bash
# All that the lab in namespaces needs, on one machine.
# Usage: single.sh CHECKOUT
set -euo pipefail
bash "$1/test/vagrant/provision/checkout.sh" "$1" --run
printf 'The demo: vagrant ssh single -c "sudo %s/scripts/demo"\n' "$1"
