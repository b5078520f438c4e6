#!/usr/bin/env bash
# A self-test of under a minute, once the environment is there: messages, votes and methods in one process, and a
# trajectory of three ranks that one process repeats bit for bit. tests/run.sh is the whole suite.
#
#   bash tests/quick.sh
#   MPI=openmpi bash tests/quick.sh      (mpich, openmpi or system)
set -euo pipefail
cd "$(dirname "$0")/.."
. jobs/environment.sh

environment "${MPI:-mpich}" test
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$BIN/python" -m pytest -q -m "not ranks" -n 2 tests/aggregation tests/algorithms tests/engine/test_loop.py
launch 3 "$BIN/python" -m mpi4py -m mpisign run jobs/quickstart.toml -o "$folder/ranks.h5" --set iterations=200
"$BIN/mpisign" rerun "$folder/ranks.h5"
