"""Figure 3: Algorithm 3 with more and more workers; and the claim that more workers are better.

Left: the median over the repeats; even M dashed. Right: the final gap of each repeat, and their geometric mean.

    python analysis/figure3.py results/figure3.h5 -o figures
"""

import agg  # noqa: F401

from mpisign.audit.figures.figure import command
from mpisign.audit.figures.paper.figure3 import draw, findings

if __name__ == "__main__":
    raise SystemExit(command(draw, "workers", __doc__, findings))
