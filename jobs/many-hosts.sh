#!/usr/bin/env bash
# The messages of a round among many hosts (jobs/network/hosts.sh): the bytes on the link of every one of them, and the
# time of a round, for M = 7 to 63 workers. For root, with iproute2; elsewhere it says why it is skipped. Results that
# are there are kept.
#
#   bash jobs/many-hosts.sh                                    some ten minutes
#   HOSTS_OF="8 16" RATE=10mbit bash jobs/many-hosts.sh        these numbers of hosts, links of this bandwidth
#   DIMENSION=100000 bash jobs/many-hosts.sh                   rounds of this d
set -euo pipefail
cd "$(dirname "$0")/.."
. jobs/environment.sh

export HOSTS=mpisign$$
network=jobs/network
if ! bash $network/hosts.sh possible; then
    say "jobs/many-hosts.sh: skipped"
    exit 0
fi
environment mpich
PATH=$BIN:$PATH
rate=${RATE:-5mbit}

# links HOSTS RANKS_OF_EACH: what is measured on them. In the background, because bash hears a signal only while it waits.
links() {
    local result=results/many-hosts-$1x$2-$rate.json
    [ ! -e "$result" ] || return 0
    say "$1 hosts, $2 ranks each, links: $rate"
    bash $network/hosts.sh up "$1"
    bash $network/hosts.sh shape "$rate" 4kb
    PER_HOST=$2 $network/across "$BIN/mpiexec" "$BIN/python" -m mpi4py -m mpisign bench --only links \
        --dimensions "${DIMENSION:-524288}" -o "$result.unfinished" &
    wait $!
    mv "$result.unfinished" "$result"
    bash $network/hosts.sh down
}

# so many ranks on two cores: those that wait leave them to the others
export MPIR_CVAR_ENABLE_HEAVY_YIELD=1
trap 'bash $network/hosts.sh down' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p results
for hosts in ${HOSTS_OF:-8 16 32 64}; do links "$hosts" 1; done
[ -n "${HOSTS_OF:-}" ] || links 16 4
python analysis/hosts.py results/many-hosts-*.json -o figures
