"""Judge whether a measured gap falls linearly, which two examples claim of a method."""

import numpy as np

from mpisign.audit.claims.claim import Verdict, confirmed_if

SMALLEST = 1e-250
"""Gap above which float64 has its full accuracy."""
STEADY = 0.1
"""Relative change of the rate that is allowed.

If a gap falls like a power of k, its rate in the last quarter of k is 0.71 of that in the quarter before, whatever the
power.
"""


def linear(gap: np.ndarray) -> Verdict:
    """Return whether a gap falls like q^k, q < 1: log q is the same in the last two quarters of k.

    Only the first part of the gap, above SMALLEST, is used; fewer than 20 k of it are inconclusive.

    Args:
        gap: The gap at every k, shape (n,).
    """
    end = int((gap > SMALLEST).cumprod().sum())
    if end < 20:
        return Verdict.INCONCLUSIVE
    k = np.array([end // 2, 3 * end // 4, end - 1])
    early, late = np.diff(np.log(gap[k])) / np.diff(k)
    return confirmed_if(early < 0 and abs(late / early - 1) <= STEADY)
