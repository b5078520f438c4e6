"""Example 1: the orbits of signGD (2) and of GD on f(x) = x_1^2 + x_2^2, from the starts of jobs/example1.toml.

python analysis/example1.py results/example1.h5 -o figures
"""

import agg  # noqa: F401

from mpisign.audit.figures.figure import command
from mpisign.audit.figures.paper.example1 import draw, findings

if __name__ == "__main__":
    raise SystemExit(command(draw, "orbits", __doc__, findings, iterates=True))
