"""What section V says of Figures 2 and 3, and under which settings it holds: every claim, over several files.

Marks: geometric mean of the ratio of final gaps over the repeats, with its 95 % interval. Left of 1 is better; in the
shaded band similar; a ratio beyond 1e6 or below 1e-6 is drawn there. Also prints the verdicts as a table.

    python analysis/example5.py results/figure2-batch*.h5 results/figure3.h5 -o figures
"""

import agg  # noqa: F401

from mpisign.audit.figures.figure import command_of_files, nothing
from mpisign.audit.figures.paper.example5 import draw, lines, table

if __name__ == "__main__":
    raise SystemExit(
        command_of_files(
            nothing,
            lambda *trajectories: draw(table(trajectories)),
            "example5-claims",
            __doc__,
            together=lambda *trajectories: lines(table(trajectories)),
        )
    )
