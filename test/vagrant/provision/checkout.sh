#!/usr/bin/env bash
# Makes the checkout on a machine ready to run. What came along with it is used; what did not is downloaded.
# Usage: checkout.sh CHECKOUT OPTION-OF-SETUP
set -euo pipefail
cd "$1"
# The box has brought npm packages that are the right ones, whatever time the checkout's list of them bears.
if [[ -e node_modules/.box ]] && sha256sum --check --status node_modules/.box; then
  touch node_modules/.package-lock.json
fi
if [[ ! -x node_modules/.bin/node ]] && ! command -v npm >/dev/null; then
  printf 'provision: installing npm\n'
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends --yes npm >/dev/null
fi
scripts/setup "$2"
