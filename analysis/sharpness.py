"""How sharp the repaired Theorems 2 and 3 are: floors against p_min, for one worker and for three.

The repaired bounds and C0 beside the sharp one (R4), linear programs over the laws of a stochastic gradient, and, where
files of jobs/ce-a.toml and jobs/ce-b.toml are given, what was measured there beside every bound.

    python analysis/sharpness.py results/ce-a.h5 results/ce-b.h5 -o figures
"""

import agg  # noqa: F401

from mpisign.audit.figures.beyond.sharpness import main

if __name__ == "__main__":
    raise SystemExit(main(__doc__))
