#!/bin/sh
# Compare dgmmis with its peers on one core (Linux): sh benchmarks/run.sh [--help]
# One environment for all of them, so that numpy, its BLAS and the compiler are the same.  The package is copied
# into it, so that editing the source does not change what a running comparison measures.
set -eu
cd "$(dirname "$0")/.."
environment=benchmarks/.venv
[ -x "$environment/bin/python" ] || "${PYTHON:-python3}" -m venv "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check -r benchmarks/peers.txt .
exec "$environment/bin/python" benchmarks/compare.py "$@"
