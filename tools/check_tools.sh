#!/usr/bin/env bash
# Says what is missing to build and test Boathouse, and how to get it; as root on Debian it installs what it can.
set -euo pipefail

missing=()
debian=()
have() { command -v "$1" >/dev/null 2>&1; }

have cargo || missing+=("Rust 1.94 or newer (https://rustup.rs)")
have python3 || { missing+=("Python 3.10 or newer"); debian+=(python3); }
if have python3 && ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
  missing+=("Python 3.10 or newer (python3 is $(python3 -V 2>&1))")
fi
if have python3 && ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
  missing+=("Python's venv module"); debian+=(python3-venv)
fi
have cc || { missing+=("a C compiler"); debian+=(build-essential); }
# OpenSSL and the Kafka client are built from source.
for tool in c++ make perl; do
  have "$tool" || { missing+=("$tool"); debian+=(build-essential perl); }
done
have cmake || { missing+=("cmake"); debian+=(cmake); }
# With an argument: what some tests need besides.
if [ "${1:-}" = node ]; then
  have node || { missing+=("Node 18 or newer"); debian+=(nodejs); }
  have npm || { missing+=("npm"); debian+=(npm); }
fi

[ ${#missing[@]} -eq 0 ] && exit 0
if [ ${#debian[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && have apt-get; then
  apt-get update -qq && apt-get install -y -qq "${debian[@]}" && exec "$0" "$@"
fi
printf 'Missing: %s\n' "${missing[@]}" >&2
[ ${#debian[@]} -eq 0 ] || printf 'On Debian or Ubuntu: apt-get install %s\n' "${debian[*]}" >&2
exit 1
