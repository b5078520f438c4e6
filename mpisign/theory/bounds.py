"""What the paper proves, as pure functions."""

import numpy as np

from mpisign.arrays import Floats


def proposition1(t: Floats, gap0: float, *, D1: float, beta: float) -> Floats:
    """V(t) <= D_1^2 V(0) / (D_1^2 + V(0) beta t) for (22) and convex f (Proposition 1.1); t: (n,)."""
    return D1**2 * gap0 / (D1**2 + gap0 * beta * t)


def proposition2(t: Floats, gap0: float, *, D2: float, beta: float) -> Floats:
    """V(t) <= V(0) exp(-beta t / D_2) for (23) and convex f (Proposition 2.1); t: (n,)."""
    bound: Floats = gap0 * np.exp(-beta * t / D2)
    return bound
