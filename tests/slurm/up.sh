#!/usr/bin/env bash
# A private SLURM on this machine, of several pretended nodes: munged, slurmctld and a slurmd for each node. For root,
# without systemd; with Debian's packages slurm-wlm and munge.
#
#   up.sh possible              whether this machine can; if it cannot, says why, with status 3
#   up.sh FOLDER [NODES [CPUS]] start it (default: 3 nodes of 8 CPUs); everything it writes is in FOLDER
#   export SLURM_CONF=FOLDER/slurm.conf
#   down.sh FOLDER
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

say() { printf 'up.sh: %s\n' "$*" >&2; }

possible() {
    local tool
    [ "$(id -u)" = 0 ] || { say "expected root: slurmd runs jobs in their owners' names"; return 3; }
    for tool in munged slurmctld slurmd sbatch srun scontrol; do
        command -v "$tool" >/dev/null || { say "no command $tool; apt-get install slurm-wlm munge"; return 3; }
    done
}

# ports COUNT: so many free ones, below those that the kernel hands out to others meanwhile.
ports() {
    python3 - "$1" <<'END'
import random, socket, sys
found = []
for port in random.sample(range(10000, 32000), 500):
    with socket.socket() as tried:
        try:
            tried.bind(("", port))
        except OSError:
            continue
    found.append(str(port))
    if len(found) == int(sys.argv[1]):
        print(",".join(found))
        sys.exit()
sys.exit("no free ports")
END
}

# SlurmdTimeout: seconds after which a node that is silent is down, and its jobs are requeued.
configuration() {
    local host free
    host=$(hostname -s)
    free=$(ports $((nodes + 1)))
    cat <<END
ClusterName=private
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${free%%,*}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge.sock
StateSaveLocation=$folder/state
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdPidFile=$folder/run/slurmd-%n.pid
SlurmdLogFile=$folder/log/slurmd-%n.log
SlurmdSpoolDir=$folder/state/%n
TmpFS=$folder
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,sched_min_interval=0
MpiDefault=none
ReturnToService=2
KillWait=10
SlurmdTimeout=5
SlurmctldTimeout=8
MinJobAge=600
InactiveLimit=0
PropagateResourceLimits=NONE
NodeName=n[1-$nodes] NodeHostname=$host NodeAddr=127.0.0.1 Port=[${free#*,}] CPUs=$cpus RealMemory=64000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
}

idle() { sinfo --noheader --Node --states=idle --format=%N 2>/dev/null | wc -l; }

if [ "${1:-}" = possible ]; then
    possible
    exit
fi
[ $# -ge 1 ] || { sed -n '2,/^set/s/^#//p' "$0" >&2; exit 2; }
possible
mkdir -p "$1"/{state,log,run}
folder=$(cd "$1" && pwd) nodes=${2:-3} cpus=${3:-8}
chmod 755 "$folder"
trap 'bash "$(dirname "$0")/down.sh" "$folder"' EXIT # what was begun and not finished
configuration >"$folder/slurm.conf"
export SLURM_CONF=$folder/slurm.conf
(umask 077 && head -c 1024 /dev/urandom >"$folder/run/munge.key")
munged --force --key-file="$folder/run/munge.key" --socket="$folder/run/munge.sock" --pid-file="$folder/run/munged.pid" \
    --seed-file="$folder/run/munge.seed" --log-file="$folder/log/munged.log" 2>>"$folder/log/munged.log"
slurmctld -c
for ((i = 1; i <= nodes; i++)); do
    mkdir -p "$folder/state/n$i"
    slurmd -N "n$i"
done
for ((tries = 0; tries < 100; tries++)); do
    if [ "$(idle)" = "$nodes" ]; then
        trap - EXIT
        exit 0
    fi
    sleep 0.1
done
say "the nodes did not come up; the last lines of its logs:"
tail -n 5 "$folder"/log/*.log >&2
exit 1
