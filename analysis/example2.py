"""Example 2: the first sign variant of AdaGrad-Norm, (6), on f(x) = x^2/2, beside AdaGrad-Norm (5).

float64 (the trajectory file) beside the same recursion with 120 digits, from the file's first start.

    python analysis/example2.py results/example2.h5 -o figures
"""

import agg  # noqa: F401

from mpisign.audit.figures.figure import command
from mpisign.audit.figures.paper.example2 import draw, findings

if __name__ == "__main__":
    raise SystemExit(command(draw, "rates", __doc__, findings, iterates=True))
