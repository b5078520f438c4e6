#!/usr/bin/env bash
# Ends what up.sh started in FOLDER, its jobs first: the daemons by their pid files, and nothing by name.
#
#   down.sh FOLDER
set -uo pipefail
folder=${1:?expected the folder of up.sh}
export SLURM_CONF=$folder/slurm.conf

# of NAME: the process that NAME's pid file names, if it is still that one: after a SIGKILL another may have its number.
of() {
    local pid
    pid=$(cat "$folder/run/$1.pid" 2>/dev/null) || return 0
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != "${1%-*}" ] || echo "$pid"
}

# end PID...: within ten seconds, or else killed.
end() {
    local pid tries
    [ $# -gt 0 ] && kill "$@" 2>/dev/null
    for pid; do
        for ((tries = 0; tries < 100; tries++)); do
            kill -0 "$pid" 2>/dev/null || continue 2
            sleep 0.1
        done
        kill -KILL "$pid"
    done
}

if [ -n "$(of slurmctld)" ]; then
    timeout 10 scancel --signal=KILL --full --user=root 2>/dev/null
    timeout 10 scancel --user=root 2>/dev/null
    for ((tries = 0; tries < 100; tries++)); do
        [ -n "$(timeout 10 squeue --noheader 2>/dev/null)" ] || break
        sleep 0.1
    done
fi
daemons=()
for file in "$folder/run/slurmctld.pid" "$folder"/run/slurmd-*.pid; do
    daemons+=($(of "$(basename "$file" .pid)"))
done
end "${daemons[@]}"
end $(of munged) # last: the others speak to each other through it
