#!/usr/bin/env bash
# Every example and figure of the paper and beyond it: runs the jobs, draws, and prints the findings. Results that
# are there are kept: remove results/NAME.h5 to run NAME again. Last comes report/report.html: every claim with its verdict.
#
#   bash jobs/reproduce.sh                      about five minutes on two cores
#   JOBS=1 bash jobs/reproduce.sh               by one process (default: auto, the repeats by as many as there are cores)
#   BATCHES=64 bash jobs/reproduce.sh           Figure 2 at these batch sizes only (default: 1 64 1024)
#   bash jobs/reproduce.sh --repeats 0:2        options go to the runs of the theorems and of Example 5
set -euo pipefail
cd "$(dirname "$0")/.."
. jobs/environment.sh

environment "${MPI:-mpich}"
PATH=$BIN:$PATH
data=results/epsilon-small.h5

# run NAME JOB [OPTIONS]: the job, unless its result is there; an unfinished one is not left under that name.
run() {
    local result=results/$1.h5 job=$2
    shift 2
    if [ ! -e "$result" ]; then
        mpisign run "$job" -o "$result.unfinished" --overwrite --jobs "${JOBS:-auto}" "$@"
        mv "$result.unfinished" "$result"
    fi
}

mkdir -p results
[ -e "$data" ] || mpisign data synth --like epsilon "$data" --n 20000 --d 200
for name in example1 example2 example3 figure1; do
    run "$name" "jobs/$name.toml"
    python "analysis/$name.py" "results/$name.h5" -o figures
done
python analysis/flows.py -o figures
for name in theorem1 theorem1-singular theorem1-nonconvex theorem1-smooth \
    remark2 remark5 ce-a ce-a-harmonic ce-b ce-b-harmonic harmonic controls controls-tight premise x1 x2 x3 x4 x5; do
    run "$name" "jobs/$name.toml" "$@"
done
python analysis/sharpness.py results/ce-a.h5 results/ce-b.h5 -o figures
run figure3 jobs/figure3.toml "$@"
python analysis/figure3.py results/figure3.h5 -o figures
for batch in ${BATCHES:-1 64 1024}; do
    run "figure2-batch$batch" jobs/figure2.toml --set "oracle.batch=$batch" "$@"
    python analysis/figure2.py "results/figure2-batch$batch.h5" -o figures
done
python analysis/example5.py results/figure2-batch*.h5 results/figure3.h5 -o figures
for name in workers ties ce-b-drift flipped flipped-logistic bits digits-one-hot; do
    run "$name" "jobs/$name.toml"
done
[ -e results/epsilon-wide.h5 ] || mpisign data synth --like epsilon results/epsilon-wide.h5 --n 2000 --d 2000
run bits-wide jobs/bits-wide.toml
python analysis/workers.py results/workers.h5 results/ties.h5 results/ce-b-drift.h5 -o figures
python analysis/flipped.py results/flipped.h5 results/flipped-logistic.h5 -o figures
python analysis/gaps.py results/digits-one-hot.h5 -o figures
python analysis/bits.py results/bits.h5 results/bits-wide.h5 -o figures
python analysis/bandwidth.py results/bits.h5 results/bits-wide.h5 -o figures
python analysis/report.py results -o report
