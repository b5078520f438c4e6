"""Flipped workers: B of M send -g~. What is left of the vote's advantage, and of the convergence on real data.

At a frozen x (jobs/flipped.toml): the advantage against B, measured with 95 % intervals, with its exact value and with
A_M at the workers' mean probability of a right sign. On data (jobs/flipped-logistic.toml): the final gap of each
repeat, and their geometric mean with its 95 % interval.

    python analysis/flipped.py results/flipped.h5 results/flipped-logistic.h5 -o figures
"""

import agg  # noqa: F401

from mpisign.audit.figures.beyond.flipped import draw, findings
from mpisign.audit.figures.figure import command_of_files

if __name__ == "__main__":
    raise SystemExit(command_of_files(findings, draw, "flipped", __doc__, iterates=True))
