# Sourced by the batch scripts beside it, in the checkout: the environment, the launcher, signals and requeueing.
#
#   MPI=mpich    (default) openmpi or system, as in jobs/environment.sh
#   LAUNCH       (default: mpiexec, or srun where there is no mpiexec) mpiexec or srun, either with options, "mpiexec
#                --bind-to none"; or one of srun's types, as `srun --mpi=list` has them: pmi2, pmix, cray_shasta
#   RESTARTS     (default: 100) how often a job goes into the queue again

# A rank has one thread for linear algebra, and its library reads that when Python loads it; one more would take the core
# of another rank.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
# Since 22.05 srun does not take the cores of a task from the job's --cpus-per-task.
[ -z "${SLURM_CPUS_PER_TASK:-}" ] || export SRUN_CPUS_PER_TASK=${SRUN_CPUS_PER_TASK:-$SLURM_CPUS_PER_TASK}

. jobs/environment.sh

# The modules of your cluster, the same as when the environment was made:
# module load python/3.11 openmpi

# A job installs nothing: compute nodes may have no network, and an array's tasks would be in each other's way.
place "${MPI:=mpich}" || exit
if [ ! -x "$BIN/python" ]; then
    BIN=$(dirname "$(command -v mpisign)") # conda's, for one
    [ -x "$BIN/python" ] || {
        say "$PWD: no $folder here, and no mpisign on PATH; on the login node, MPI=$MPI bash jobs/quickstart.sh makes it"
        exit 2
    }
fi

# in_a_job: refuse to go on outside of a job.
in_a_job() {
    [ -n "${SLURM_JOB_ID:-}" ] || { say "expected a job of SLURM: sbatch this script"; exit 2; }
}

# ends_at: leaves in SLURM_JOB_END_TIME, in seconds since 1970, when SLURM ends this job; older ones do not set it. A run
# stops before, in time for what a save has taken.
ends_at() {
    local end
    end=$(scontrol show job "$SLURM_JOB_ID" 2>/dev/null | sed -n 's/.* EndTime=\([^ ]*\).*/\1/p') || return 0
    end=$(date -d "$end" +%s 2>/dev/null) && export SLURM_JOB_END_TIME=${SLURM_JOB_END_TIME:-$end}
    return 0
}

# ranks: leaves in $LAUNCHER the words that launch this job's tasks as ranks.
ranks() {
    # srun: not --kill-on-bad-exit, by which the first rank to stop with status 75 has the others killed.
    local all_end=(--kill-on-bad-exit=0 --wait=5)
    # Without --ntasks SLURM sets no SLURM_NTASKS: with --ntasks-per-node it is that many on each node, else one.
    local tasks=${SLURM_NTASKS:-$((${SLURM_NTASKS_PER_NODE:-1} * ${SLURM_JOB_NUM_NODES:-1}))}
    if [ -z "${LAUNCH:-}" ]; then
        LAUNCH=mpiexec
        [ -x "$BIN/mpiexec" ] || command -v mpiexec >/dev/null || LAUNCH=srun
    fi
    case $LAUNCH in
        mpiexec*) launcher "$tasks" && LAUNCHER+=(${LAUNCH#mpiexec}) ;;
        srun*) LAUNCHER=($LAUNCH "${all_end[@]}") ;;
        *) LAUNCHER=(srun "--mpi=$LAUNCH" "${all_end[@]}") ;;
    esac
}

# stop SIGNAL: ask the ranks to stop at an iteration boundary, once. Every launcher hands USR1 on to its ranks; of TERM,
# Open MPI's makes an end.
asked= RESTARTS=${RESTARTS:-100}
stop() {
    trap '' USR1 TERM
    asked=$1
    say "asked to stop by $1"
    kill -USR1 "$launched" 2>/dev/null || true
}

# mpisign_on_ranks ARGUMENTS...: by all tasks of this job, to its end; its status.
mpisign_on_ranks() {
    in_a_job
    ranks
    to_its_end "${LAUNCHER[@]}" "$BIN/python" -m mpi4py -m mpisign "$@"
}

# mpisign_here ARGUMENTS...: by one process on this node, to its end; its status.
mpisign_here() {
    in_a_job
    to_its_end "$BIN/python" -m mpisign "$@"
}

# to_its_end COMMAND...: its status, by the time that this job has. In the background, because bash hears a signal only
# while it waits.
to_its_end() {
    local status=0
    ends_at
    "$@" &
    launched=$!
    trap 'stop USR1' USR1
    trap 'stop TERM' TERM
    wait "$launched" || status=$?
    case $asked,$status in
        USR1,138 | TERM,143) status=0; wait "$launched" || status=$? ;; # the signal has ended `wait`, not the launcher
    esac
    return "$status"
}

# finish STATUS: the end of the job. When time was up (USR1, not scancel's TERM; or nobody asked, and the run ended with
# 75, since its saves take longer than there is from USR1 to the end), what there is so far is in the file, and SLURM puts
# the job into the queue again. Its ranks end with 75 then; or by the signal, 10 or 138, when it found them before their
# first iteration or after their last.
finish() {
    case $asked,$1 in
        ,75 | USR1,75 | USR1,10 | USR1,138)
            [ "${SLURM_RESTART_COUNT:-0}" -lt "$RESTARTS" ] || {
                say "restarted $RESTARTS times already (RESTARTS); the same sbatch goes on"
                exit "$1"
            }
            say "job $SLURM_JOB_ID goes into the queue again, and on where it stopped"
            scontrol requeue "$SLURM_JOB_ID"
            ;;
    esac
    exit "$1"
}
