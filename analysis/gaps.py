"""Gap against iterations, bits and seconds, for every run of a trajectory file.

Solid: the median over the repeats; band: their 10% to 90% quantiles.

    python analysis/gaps.py results/quickstart.h5 -o figures
"""

import agg  # noqa: F401

from mpisign.audit.figures.beyond.gaps import draw
from mpisign.audit.figures.figure import command

if __name__ == "__main__":
    raise SystemExit(command(draw, "gaps", __doc__))
