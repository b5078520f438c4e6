"""How many workers buy how much: the majority vote at a frozen x, where every k is one more draw.

Marks: measured, with 95 % intervals. Lines: theory. Left: one worker to fifteen. Middle: the rules for tied votes.
Right: points of CE-B, where the coordinates of the noise depend on each other (dashes: if norms and signs did not).

    python analysis/workers.py results/workers.h5 results/ties.h5 results/ce-b-drift.h5 -o figures
"""

import agg  # noqa: F401

from mpisign.audit.figures.beyond.workers import draw, findings
from mpisign.audit.figures.figure import command_of_files

if __name__ == "__main__":
    raise SystemExit(command_of_files(findings, draw, "workers", __doc__, iterates=True))
