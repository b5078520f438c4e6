"""Figure 1 (Example 4): the gap of five methods on f(x) = x^2 + 3 sin^2 x, and of SIGNUM for several beta.

Thick: the first start; thin: the others.

    python analysis/figure1.py results/figure1.h5 -o figures
"""

import agg  # noqa: F401

from mpisign.audit.figures.figure import command
from mpisign.audit.figures.paper.figure1 import draw, findings

if __name__ == "__main__":
    raise SystemExit(command(draw, "gaps", __doc__, findings, iterates=True))
