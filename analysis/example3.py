"""Example 3: the second sign variant of AdaGrad-Norm, (9), on f(x) = x^2: formula (10) beside the dynamics (11).

float64 (the trajectory file) beside the same recursion with 120 digits.

    python analysis/example3.py results/example3.h5 -o figures
"""

import agg  # noqa: F401

from mpisign.audit.figures.figure import command
from mpisign.audit.figures.paper.example3 import draw, findings

if __name__ == "__main__":
    raise SystemExit(command(draw, "formula", __doc__, findings, iterates=True))
