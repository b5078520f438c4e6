"""Bits to a given accuracy: each method with the best of the steps that its job has tried, against dense SGD.

A target is reached at the first record where the median gap over the repeats is not above it; bits are those sent by
then, up and down, for all workers. For each target the step with the fewest bits is taken, on the same repeats.
In the figure a number after a method is that step.
Intervals: 95 %, bootstrap over the repeats, the same ones for every run, with the choice of the step in it. Seconds an
iteration are taken as known: the least over steps and repeats, of which a bootstrap would say too little.

    python analysis/bits.py results/bits.h5 results/bits-wide.h5 -o figures
"""

import agg  # noqa: F401

from mpisign.audit.figures.beyond.bits import draw, findings
from mpisign.audit.figures.figure import command_of_files

if __name__ == "__main__":
    raise SystemExit(command_of_files(findings, draw, "bits", __doc__))
