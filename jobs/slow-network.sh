#!/usr/bin/env bash
# One bit a coordinate against dense messages over slow links, measured: a server and four workers, each on a host of
# its own (jobs/network/hosts.sh), run slow-network.toml and a benchmark of rounds at each bandwidth. For root, with
# iproute2; elsewhere it says why it is skipped. Results that are there are kept.
#
#   bash jobs/slow-network.sh                                  five minutes
#   MPI=openmpi bash jobs/slow-network.sh                      (mpich or openmpi)
#   RATES="unshaped 100mbit" bash jobs/slow-network.sh         these bandwidths only, as tc writes them
#   ROUNDS=2000 bash jobs/slow-network.sh --repeats 0:2        rounds of this d only; options go to the runs
set -euo pipefail
cd "$(dirname "$0")/.."
. jobs/environment.sh

export HOSTS=mpisign$$
network=jobs/network
if ! bash $network/hosts.sh possible; then
    say "jobs/slow-network.sh: skipped"
    exit 0
fi
case ${MPI:=mpich} in mpich | openmpi) ;; *) say "MPI=$MPI: expected mpich or openmpi"; exit 2 ;; esac
environment "$MPI"
PATH=$BIN:$PATH

# across COMMAND...: a rank on each host. In the background, because bash hears a signal only while it waits.
across() {
    $network/across "$BIN/mpiexec" "$BIN/python" -m mpi4py -m mpisign "$@" &
    wait $!
}

# keep RESULT COMMAND...: unless its result is there; COMMAND gets a name for it that is not taken up when it fails.
keep() {
    local result=$1
    shift
    [ -e "$result" ] || { "$@" "$result.unfinished" && mv "$result.unfinished" "$result"; }
}

train() { "$1" run jobs/slow-network.toml --overwrite "${options[@]}" -o "$2"; }

# rounds RATE RESULT. Dense rounds of a million numbers take seconds each at 100 Mbit/s, and below it longer.
rounds() {
    local dimensions
    case $1 in unshaped | *gbit | [1-9][0-9][0-9]*mbit) dimensions=2000,1000000 ;; *) dimensions=2000 ;; esac
    across bench --only rounds --quick --dimensions "${ROUNDS:-$dimensions}" -o "$2"
}

options=("$@")
mkdir -p results
keep results/epsilon-wide.h5 mpisign data synth --like epsilon --n 2000 --d 2000
keep results/slow-network-alone.h5 train mpisign
trap 'bash $network/hosts.sh down' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
bash $network/hosts.sh up 5
for rate in ${RATES:-unshaped 4gbit 1gbit 300mbit 100mbit 30mbit 10mbit}; do
    if [ "$rate" = unshaped ]; then bash $network/hosts.sh unshape; else bash $network/hosts.sh shape "$rate"; fi
    say "links: $rate"
    keep "results/slow-network-$rate.h5" train across
    keep "results/slow-network-$rate.json" rounds "$rate"
done
python analysis/network.py results/slow-network-*.h5 -o figures
