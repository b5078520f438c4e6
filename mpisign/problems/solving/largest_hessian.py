"""H(0) of logistic regression, the largest Hessian that it has: it leads to f*, and L is its norm."""

import sys
from functools import cached_property

import numpy as np

from mpisign.arrays import Floats
from mpisign.problems.distributed_objective import SMALL, Objective
from mpisign.problems.logistic_sums import LogisticSums
from mpisign.theory.constants import Constant
from mpisign.theory.smoothness import smoothness

_WIDEST, _WORK = 4096, 2 * 10**12
"""L is found from the whole Hessian up to this d and this n d^2: epsilon's is 1.6e12, some 20 s in float32."""
_FINER = 20
"""Limits of L that are closer than this many errors of a rough Hessian are found from an exact one."""
_EPSILON = sys.float_info.epsilon


def has_whole_hessian(samples: int, dimension: int) -> bool:
    """Return whether L of so many data points is found from the whole Hessian, which is then held: d x d."""
    return dimension <= _WIDEST and samples * dimension**2 <= _WORK


class LargestHessian:
    """H(0), and L.

    Args:
        sums: those over the data.
        samples: n.
        dimension: d.
        steepest: the largest second derivative of the regulariser along a coordinate, which it has at 0.
    """

    def __init__(self, sums: LogisticSums, samples: int, dimension: int, steepest: float):
        self._sums, self._samples, self._dimension, self._steepest = sums, samples, dimension, steepest
        self._found: Floats | None = None

    @property
    def is_whole(self) -> bool:
        """Return whether it is held as a matrix."""
        return has_whole_hessian(self._samples, self._dimension)

    def matrix(self, objective: Objective, keep: bool) -> Floats:
        """Return H(0), shape (d, d), or nearly that; it serves to find f* and L. keep: whether it is still needed."""
        found = self._found
        if found is None and self._is_rough:
            found = self._rough(objective)
        if found is None or not np.isfinite(found).all():  # the square of a float32 can overflow
            found = self._exact(objective)
        self._found = found if keep else None
        return found

    @property
    def _is_rough(self) -> bool:
        """Return whether H(0) is found by float32 products first, which takes half of the time."""
        return self._sums.has_gram and self._dimension > SMALL

    def _rough(self, objective: Objective) -> Floats:
        with np.errstate(invalid="ignore"):
            hessian = objective.gram()
        hessian /= 4 * self._samples
        hessian[np.diag_indices_from(hessian)] += self._steepest
        return hessian

    def _exact(self, objective: Objective) -> Floats:
        return objective.hessian_at_origin()

    def smoothness(self, objective: Objective) -> dict[str, Constant]:
        """Return L, or limits of it."""
        if not self.is_whole:
            return self._loose_smoothness(objective)
        hessian = self.matrix(objective, keep=False)
        if self._is_rough:
            known = self._rough_smoothness(hessian)
            if "L_lower" in known and known["L"].value - known["L_lower"].value >= _FINER * self._rough_error:
                return known
            hessian = self._exact(objective)
        return smoothness(hessian, error=self._summing_error(hessian))

    def _summing_error(self, hessian: Floats) -> float:
        """Return a limit for what the float64 sums of H(0) are off by, in the sum of all entries.

        An entry, a sum over blocks and their rows, is off by a part of |A|'|A|'s; all those add to d trace at most.
        """
        return float(self._sums.additions * _EPSILON * self._dimension * hessian.trace())

    def _rough_smoothness(self, hessian: Floats) -> dict[str, Constant]:
        return smoothness(hessian, self._rough_error + self._summing_error(hessian), semidefinite=True)

    @cached_property
    def _rough_error(self) -> float:
        """Return a limit for what float32 products change in H(0), in the sum of all entries."""
        return self._sums.gram_error() / (4 * self._samples)

    def _loose_smoothness(self, objective: Objective) -> dict[str, Constant]:
        """Return an upper and a lower limit of L.

        L <= sum_i ||a_i||_1^2 / (4n) + d r''(0), in one pass over the data; L >= v'H(0)v, with v found by v <- H(0)v,
        then v <- sign(H(0)v).
        """
        n, d = self._samples, self._dimension
        vector, origin = np.ones(d), np.zeros(d)
        for _ in range(10):
            vector = objective.curvature(origin, vector / np.linalg.norm(vector))
        for _ in range(5):
            vector = objective.curvature(origin, np.where(vector >= 0, 1.0, -1.0))
        signs = np.where(vector >= 0, 1.0, -1.0)
        lower = float(objective.curvature(origin, signs) @ signs)
        norms = self._sums.norms
        upper = float(np.square(norms).sum()) / (4 * n) + d * self._steepest
        rounding = (n + d) * _EPSILON * upper
        return {"L": Constant(upper + rounding, "upper"), "L_lower": Constant(max(lower - rounding, 0.0), "lower")}
