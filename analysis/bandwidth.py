"""At which bandwidth one bit a coordinate wins: the time to the lowest target that every method reaches.

time = iterations * seconds an iteration + bits / bandwidth. Seconds are measured in one process, where the workers
compute one after another and messages cost nothing: the least over the repeats, where least disturbed. Bits go through
one link, the server's. Steps, targets and intervals are those of analysis/bits.py, with the seconds an iteration taken
as known. Below the crossover a method is faster than dense SGD.

    python analysis/bandwidth.py results/bits.h5 results/bits-wide.h5 -o figures
"""

import agg  # noqa: F401

from mpisign.audit.figures.beyond.bandwidth import draw, findings
from mpisign.audit.figures.figure import command_of_files

if __name__ == "__main__":
    raise SystemExit(command_of_files(findings, draw, "bandwidth", __doc__))
