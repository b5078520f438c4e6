#!/usr/bin/env bash
# Every example and figure of the paper and beyond it: runs the jobs, draws, and prints the findings. Results that
# are there are kept: remove results/NAME.h5 to run NAME again. report/report.html has every claim with its verdict.
#
#   bash jobs/reproduce.sh                      three and a half minutes on two cores
#   JOBS=1 bash jobs/reproduce.sh               by one process (default: by as many as there are cores)
#   BATCHES=64 bash jobs/reproduce.sh           Figure 2 at these batch sizes only (default: 1024 64 1)
#   bash jobs/reproduce.sh --repeats 0:2        options go to the runs of the theorems and of Example 5
set -euo pipefail
cd "$(dirname "$0")/.."
. jobs/environment.sh

environment "${MPI:-mpich}"
jobs=${JOBS:-$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)}
case $jobs in '' | *[!0-9]* | 0*) say "JOBS=$jobs: expected how many processes, at least 1"; exit 2 ;; esac
lanes=$((jobs < 4 ? jobs : 4)) # commands side by side; a run has the repeats of a job on as many cores as are left for it
export PATH=$BIN:$PATH EACH=$((jobs / lanes))

# run NAME JOB [OPTIONS]: the job, unless its result is there; an unfinished one is not left under that name.
run() {
    local result=results/$1.h5 job=$2
    shift 2
    [ -e "$result" ] && return
    mpisign run "$job" -o "$result.unfinished" --overwrite --jobs "$EACH" "$@" && mv "$result.unfinished" "$result"
}

# told COMMAND: runs it, and prints in one piece what it says; status 255 keeps xargs from beginning another.
told() {
    local said status=0
    said=$("$@" 2>&1) || status=255
    printf '== %s\n%s\n' "$*" "$said"
    return "$status"
}

# side_by_side: the commands that come in, one a line.
side_by_side() { xargs -P "$lanes" -L 1 bash -c 'told "$@"' told; }
export -f run told

options=
[ $# = 0 ] || options=$(printf ' %q' "$@")
batches=${BATCHES:-1024 64 1}
mkdir -p results
[ -e results/epsilon-small.h5 ] || mpisign data synth --like epsilon results/epsilon-small.h5 --n 20000 --d 200
[ -e results/epsilon-wide.h5 ] || mpisign data synth --like epsilon results/epsilon-wide.h5 --n 2000 --d 2000

# Those that take long come first, so that none is alone at the end.
{
    for batch in $batches; do
        echo "run figure2-batch$batch jobs/figure2.toml --set oracle.batch=$batch$options"
    done
    for name in figure3 ce-a harmonic controls x5 controls-tight ce-a-harmonic ce-b ce-b-harmonic premise \
        theorem1 theorem1-singular theorem1-nonconvex theorem1-smooth remark2 remark5 x1 x2 x3 x4; do
        echo "run $name jobs/$name.toml$options"
    done
    for name in flipped-logistic flipped bits bits-wide ce-b-drift workers ties digits-one-hot \
        example1 example2 example3 figure1; do
        echo "run $name jobs/$name.toml"
    done
} | side_by_side

{
    echo "python analysis/report.py results -o report"
    for name in example1 example2 example3 figure1 figure3; do
        echo "python analysis/$name.py results/$name.h5 -o figures"
    done
    for batch in $batches; do
        echo "python analysis/figure2.py results/figure2-batch$batch.h5 -o figures"
    done
    echo "python analysis/example5.py $(echo results/figure2-batch*.h5) results/figure3.h5 -o figures"
    echo "python analysis/flows.py -o figures"
    echo "python analysis/sharpness.py results/ce-a.h5 results/ce-b.h5 -o figures"
    echo "python analysis/workers.py results/workers.h5 results/ties.h5 results/ce-b-drift.h5 -o figures"
    echo "python analysis/flipped.py results/flipped.h5 results/flipped-logistic.h5 -o figures"
    echo "python analysis/gaps.py results/digits-one-hot.h5 -o figures"
    echo "python analysis/bits.py results/bits.h5 results/bits-wide.h5 -o figures"
    echo "python analysis/bandwidth.py results/bits.h5 results/bits-wide.h5 -o figures"
} | side_by_side
echo "every claim with its verdict: report/report.html"
