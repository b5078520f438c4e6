"""How far f at a point of regularised logistic regression can be above f*: limits that hold, rounding included.

f is 1/n-strongly convex, so that f - f* <= n ||g||^2 / 2. On ill-conditioned data that is much too large, while the
curvature at the point itself says more: along u the loss's second derivatives fall by at most exp(-|a_i'u|) (Bach,
Electron. J. Stat. 4, 2010). With ||u||_H^2 = u'Hu, R = max_i |a_i'u| <= M ||u||_H and M = max_i ||a_i||_{H^-1},

    f(x + u) >= f(x) + g'u + ||u||_H^2 (exp(-R) + R - 1) / R^2,

whose least value over u is at least f(x) - l^2 / (2 (1 - M l)) for l = ||g||_{H^-1} < 1 / M.
"""

import math
import sys
from collections.abc import Callable

import numpy as np
import scipy  # its parts are imported when they are used

from mpisign.arrays import Floats
from mpisign.problems.distributed_objective import SMALL
from mpisign.problems.logistic_sums import LogisticSums

_EPSILON = sys.float_info.epsilon


class Certificate:
    """Limits at a point.

    Args:
        sums: those over the data, n rows of length d.
        x: the point, shape (d,).
        value: f as computed there.
        gradient: its gradient as computed there, shape (d,).
    """

    def __init__(self, sums: LogisticSums, x: Floats, value: float, gradient: Floats):
        self._sums, self._x, self._value, self._gradient = sums, x, value, gradient
        self._margins, self._sizes = sums.sizes(np.abs(x))
        self._samples, self._dimension = len(self._margins), len(x)

    def rounding(self) -> float:
        """Return a limit for the error of the value: margins are sums of d products, f one of n values >= 0."""
        # 23 of numpy's pairwise sum of a block and 4 of a loss; those of a third block and more come on top.
        roundings = self._sums.tree + 16 + math.log2(self._samples) + max(0.0, self._sums.blocks - 2)
        return float(_EPSILON * ((self._dimension + 1) * self._margins.mean() + roundings * self._value))

    def gap_limit(self, scale: Floats, hessian: Callable[[], Floats]) -> float:
        """Return an upper limit of f - f*, with l2, by the gradient with its rounding.

        Args:
            scale: the square roots of diag H(0), shape (d,).
            hessian: returns H at the point; where d is small it may say more.
        """
        n = self._samples
        relative = _EPSILON * (self._dimension + 1)
        margin_errors = relative * self._margins
        sums = _EPSILON * (self._sums.additions * self._sizes[0] + 4 * np.abs(self._x)) / n
        # A weight 1 / (1 + exp(m)) is off by a quarter of its margin's error at most.
        limit = global_limit(self._gradient, sums + relative / 4 * self._sizes[1] / n, n)
        if self._dimension > SMALL or margin_errors.max() > MARGIN_ERROR:
            return limit
        pull_error = float(np.sqrt(np.square(margin_errors).mean())) / 2
        return min(limit, self._local_limit(hessian() / scale / scale[:, None], scale, sums, pull_error))

    def _local_limit(self, hessian: Floats, scale: Floats, sums: Floats, pull_error: float) -> float:
        """Return the limit by the Hessian in scaled coordinates.

        sums: the gradient's rounding but for that of the weights, shape (d,).
        """
        error = _EPSILON * self._sums.additions * float(hessian.trace())
        floor = float(1 / (self._samples * scale.max() ** 2))
        bend = self._bend()
        return local_limit(hessian, error, floor, self._gradient / scale, sums / scale, pull_error, bend)

    def _bend(self) -> float:
        """Return M >= max_i ||a_i||_{H^-1} at x.

        As H >= w_i a_i a_i' + I / n, its square is at most 1 / w_i and n ||a_i||^2.
        """
        n, largest = self._samples, 0.0
        for segment in range(self._sums.segments):
            for block, weights in self._sums.weighed(self._x, segment):
                squares = np.asarray((block * block).sum(axis=1)).ravel()
                with np.errstate(divide="ignore"):
                    largest = max(largest, float(np.minimum(1 / weights, n * squares).max()))
        return math.sqrt(largest) * (1 + 1e-6)  # what a margin's rounding changes in a weight


def global_limit(gradient: Floats, gradient_error: Floats, samples: int) -> float:
    """Return n ||g||^2 / 2 for the largest g that fits.

    Args:
        gradient: g as computed, shape (d,).
        gradient_error: a limit for the error of each coordinate, shape (d,).
        samples: n.
    """
    longest = np.abs(gradient) + gradient_error
    return float(longest @ longest) * samples / 2


MARGIN_ERROR = 1e-6
"""Up to this error of the margins `local_limit` holds: curvatures are then known to a part of 1e-5."""


def local_limit(
    hessian: Floats,
    hessian_error: float,
    floor: float,
    gradient: Floats,
    gradient_error: Floats,
    pull_error: float,
    bend: float,
) -> float:
    """Return l^2 / (2 (1 - M l)) for the largest l that fits, or infinity where M l >= 1.

    An error e_i of the weight of row a_i changes g by A'e / n, and with H >= A'WA its length in H^-1 is at most the
    root mean square of e_i / sqrt(w_i), however nearly dependent the columns are.

    Args:
        hessian: H as computed, in coordinates in which its diagonal is about 1, shape (d, d).
        hessian_error: a limit for the error of its sums in the 2-norm.
        floor: a lower limit of H's eigenvalues, > 0.
        gradient: g as computed, in the same coordinates, shape (d,).
        gradient_error: a limit for the error of its sums, of each coordinate, shape (d,).
        pull_error: a limit for that root mean square.
        bend: M, or an upper limit of it.
    """
    values, vectors = scipy.linalg.eigh(hessian)
    rounding = hessian_error + 8 * len(values) * np.finfo(float).eps * float(values[-1])
    certain = np.maximum(values - rounding, floor) * (1 - 10 * MARGIN_ERROR)
    parts = np.abs(vectors.T @ gradient) + np.abs(vectors.T) @ gradient_error
    decrement = math.sqrt(float((parts**2 / certain).sum())) + pull_error * (1 + 10 * MARGIN_ERROR)
    return decrement**2 / (2 * (1 - bend * decrement)) if bend * decrement < 1 else math.inf
