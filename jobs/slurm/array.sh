#!/usr/bin/env bash
# The repeats of one job as an array of tasks, and a merge of what they wrote that begins when all of them are done.
# Prints the two job ids; from a checkout with its environment made:
#
#   bash jobs/slurm/array.sh JOB.toml results/NAME.h5 [options of mpisign run]
#
#   PER_TASK=5                                repeats a task (default: 1)
#   AT_ONCE=8                                 tasks at a time (default: as many as fit)
#   SBATCH="sbatch --ntasks=9 --time=1-0"     what submits the array; with --ntasks=18 and --teams 2 among the options a task
#                                             runs two of its repeats side by side
#   SBATCH_PARTITION, SBATCH_ACCOUNT, ...     SLURM's own variables, for both
#
# A task writes results/NAME/slice-0000.h5, and so on. The same command goes on with what was cancelled or has failed.
set -euo pipefail
cd "$(dirname "$0")/../.."
. jobs/slurm/job.sh

[ $# -ge 2 ] || { say "expected JOB.toml FILE.h5 [options of mpisign run]"; exit 2; }
job=$1 output=$2
shift 2
case " $*" in *" --repeats"*) say "--repeats: the tasks have all of them; --set repeats=N makes fewer"; exit 2 ;; esac
case $output in *.h5) ;; *) say "$output: expected a name that ends in .h5"; exit 2 ;; esac
per_task=${PER_TASK:-1}
[[ $per_task =~ ^[1-9][0-9]*$ ]] || { say "PER_TASK=$per_task: expected how many repeats a task has"; exit 2; }
[ ! -e "$output" ] || { say "$output: this output exists already; remove it, or give another name"; exit 2; }
# By `-`, for modules in this folder to be found, as `-m` finds them.
repeats=$("$BIN/python" - "$job" "$@" <jobs/slurm/repeats.py) || exit 2
tasks=$(((repeats + per_task - 1) / per_task))
slices=()
for ((task = 0; task < tasks; task++)); do
    slices+=("$(printf '%s/slice-%04d.h5' "${output%.h5}" "$task")")
done

array=$(${SBATCH:-sbatch} --parsable --array="0-$((tasks - 1))${AT_ONCE:+%$AT_ONCE}" \
    jobs/slurm/array.sbatch "$job" "${output%.h5}" "$per_task" "$repeats" "$@")
# Where a task fails for good, the merge is taken out of the queue.
merge=$(sbatch --parsable --dependency="afterok:${array%%;*}" --kill-on-invalid-dep=yes \
    jobs/slurm/merge.sbatch "$output" "${slices[@]}")
echo "array ${array%%;*}: $tasks tasks; merge ${merge%%;*}, when they are done, into $output"
