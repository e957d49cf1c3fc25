#!/usr/bin/env bash
# The client needs Node for the traffic that the demo sends.
# Usage: client.sh CHECKOUT
set -euo pipefail
bash "$1/test/vagrant/provision/checkout.sh" "$1" --npm
