# Sourced by tests/run.sh, or run alone: the two environments that the tests need, made or brought up to date.
#
#   MPISIGN_OPENMPI_BIN    where Open MPI's programs are afterwards
#   BIN                    where those of MPICH's environment are, which has the linters, too
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. jobs/environment.sh

# The tests start some hundred processes: without bytecode each would compile every module that it imports.
unset PYTHONDONTWRITEBYTECODE

environment openmpi test
export MPISIGN_OPENMPI_BIN=$BIN
environment mpich test,dev,proofs
