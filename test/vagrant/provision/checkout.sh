#!/usr/bin/env bash
# Makes the checkout on a machine ready to run. What came along with it is used; what did not is downloaded.
# Usage: checkout.sh CHECKOUT OPTION-OF-SETUP
set -euo pipefail
cd "$1"
if [[ ! -x node_modules/.bin/node ]] && ! command -v npm >/dev/null; then
  printf 'provision: installing npm\n'
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends --yes npm >/dev/null
fi
scripts/setup "$2"
