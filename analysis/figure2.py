"""Figure 2: logistic regression, (a) a constant and (b) a diminishing step; and the text's claims about it.

Above with each step read per coordinate, below as printed. Lines: the median over the repeats; bands: their 10% to 90%
quantiles. analysis/example5.py draws what the text claims, over several of these files.

    python analysis/figure2.py results/figure2.h5 -o figures
"""

import agg  # noqa: F401

from mpisign.audit.figures.figure import command
from mpisign.audit.figures.paper.figure2 import draw, findings

if __name__ == "__main__":
    raise SystemExit(command(draw, "gaps", __doc__, findings))
