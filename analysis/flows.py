"""Appendix A: V(t) = f(x) - f* along (22) and (23) on correlated quadratics x'Hx/2, with Propositions 1 and 2.

Nothing is simulated in steps, and no trajectory file is read.

    python analysis/flows.py -o figures
"""

import agg  # noqa: F401

from mpisign.audit.figures.paper.flows import main

if __name__ == "__main__":
    raise SystemExit(main(__doc__))
