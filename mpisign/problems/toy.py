"""Example 4."""

import math

from mpisign.arrays import Floats
from mpisign.problems.problem import Problem
from mpisign.theory.constants import Constant


class Toy(Problem):
    """f(x) = x^2 + 3 sin^2 x on the line (Example 4): not convex, but with the PL property; f* = 0"""

    dimension = 1

    def value(self, x: Floats) -> float:
        t = float(x[0])
        return t * t + 3.0 * math.sin(t) ** 2 if math.isfinite(t) else math.inf

    def gradient(self, x: Floats, out: Floats) -> None:
        t = float(x[0])
        out[0] = 2.0 * t + 6.0 * math.sin(t) * math.cos(t) if math.isfinite(t) else math.nan

    def constants(self) -> dict[str, Constant]:
        """L = max |f''| = 8; the PL constant is the least f'^2 / (2 f), at |x| = 2.2017 (MATH.md, Ex. 4)."""
        return {"L": Constant(8.0, "exact"), "mu_PL": Constant(0.1755309858797, "lower")}
