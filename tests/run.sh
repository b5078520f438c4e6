#!/usr/bin/env bash
# The whole test suite, in one process and under mpiexec at several sizes, with MPICH and with Open MPI. Makes the
# environments on the first run. Arguments go to pytest:
#
#   bash tests/run.sh
#   bash tests/run.sh --fast        under a minute, for the working day: no ranks, and not the files in conftest.py's SLOW
#   bash tests/run.sh tests/aggregation/test_bitplanes.py -k vote
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/environments.sh

# phase MARK [OPTIONS]: the tests with that mark. That there is none of them, status 5, may be true of one phase only.
failed=0 none=0
phase() {
    local status=0
    "$BIN/python" -m pytest -m "$@" || status=$?
    ended "$status"
}
ended() {
    case $1 in 0) ;; 5) none=$((none + 1)) ;; *) failed=$1 ;; esac
}

if [ "${1:-}" = --fast ]; then
    shift
    phase "not ranks and not slow" -n 2 --dist load "$@"
    exit "$failed"
fi
waiting=
if [ $# = 0 ]; then  # of the whole suite, the tests that mostly wait for SLURM run beside the first phase
    log=$(mktemp)
    "$BIN/python" -m pytest tests/system/test_slurm.py >"$log" 2>&1 & waiting=$!
    set -- --ignore tests/system/test_slurm.py
fi
# MPI is slow when other work has its cores: what starts ranks comes second. Ranks that wait let others have theirs, so
# that two files go side by side.
phase "not ranks" -n 2 --dist loadfile --no-loadscope-reorder "$@"
if [ -n "$waiting" ]; then
    status=0
    wait "$waiting" || status=$?
    cat "$log"
    rm "$log"
    ended "$status"
fi
phase ranks -n 2 --dist loadfile --no-loadscope-reorder "$@"
[ "$none" -lt 2 ] || failed=5
exit "$failed"
