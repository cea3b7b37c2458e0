#!/usr/bin/env bash
# Installs a wheel into an empty virtual environment and runs the demo from it, with nothing of this checkout in reach.
set -euo pipefail

wheel=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset BOATHOUSE BOATHOUSE_PYTHON BOATHOUSE_PYTHON_MODULES BOATHOUSE_HOME PYTHONPATH SPARK_REMOTE VIRTUAL_ENV

python3 -m venv empty
empty/bin/pip install --quiet --disable-pip-version-check "$wheel"
if empty/bin/pip show pyspark >/dev/null 2>&1; then
  echo "The wheel brought pyspark: it needs the client only." >&2
  exit 1
fi
empty/bin/python -c 'import dlt, dbruntime, boathouse_runtime, grpc'
empty/bin/boathouse --version
empty/bin/boathouse demo --home "$work/home" --rows 100000 --new-rows 1000
empty/bin/boathouse sql --home "$work/home/demo" --format csv -e "SELECT count(*) AS n FROM bronze_sales" | grep -qx 101003
echo "The wheel works."
