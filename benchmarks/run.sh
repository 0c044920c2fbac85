#!/bin/sh
# Compare dgmmis with its peers on one core (Linux): sh benchmarks/run.sh [SCRIPT.py] [--help]
# SCRIPT is one of this folder, by default compare.py.  One environment for all of them, so that numpy, its BLAS
# and the compiler are the same.  The package is copied into it, so that editing the source does not change what a
# running comparison measures.
set -eu
cd "$(dirname "$0")/.."
environment=benchmarks/.venv
script=compare.py
case "${1:-}" in
  *.py) script=$1; shift ;;
esac
[ -x "$environment/bin/python" ] || "${PYTHON:-python3}" -m venv "$environment"
set_up() { "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
set_up -r benchmarks/peers.txt ".[readers,report]"
if command -v java >/dev/null; then set_up -r benchmarks/peers_java.txt; fi
exec "$environment/bin/python" "benchmarks/$script" "$@"
