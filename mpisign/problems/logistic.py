"""Example 5: l2-regularised logistic regression."""

import hashlib
import math
import sys

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.special

from mpisign.arrays import Floats, Indices
from mpisign.datasets import Scaling, load
from mpisign.planes import kernel
from mpisign.problems.problem import Minimum, Problem
from mpisign.settings import BadInput, checked
from mpisign.theory.constants import Constant

_SEGMENTS = 16
_BLOCK = 2048


class Logistic(Problem):
    """f(x) = (1/n) sum log(1 + exp(-b_i a_i'x)) + ||x||^2 / (2n).

    features: the a_i, float64, shape (n, d). labels: the b_i in {-1, +1}, float64, shape (n,).
    Raises BadInput for a NaN or an infinity, or for labels that are not -1 and +1.
    """

    def __init__(self, features: Floats, labels: Floats):
        if not np.isfinite(features).all():
            raise BadInput("data", "expected finite features, found a NaN or an infinity")
        if set(np.unique(labels)) != {-1.0, 1.0}:
            raise BadInput("data", f"expected the two labels -1 and +1, found {np.unique(labels)[:5]}")
        # b_i a_i is all that f needs: the margins are its products with x.
        self._rows = np.ascontiguousarray(features * labels[:, None])
        self.samples, self.dimension = self._rows.shape
        self._everyone = np.arange(self.samples)
        self._edges = np.linspace(0, self.samples, _SEGMENTS + 1).astype(int)
        self.segments = _SEGMENTS

    def value(self, x: Floats) -> float:
        return float(np.logaddexp(0.0, -(self._rows @ x)).mean() + x @ x / (2 * self._rows.shape[0]))

    def gradient(self, x: Floats, out: Floats) -> None:
        self.minibatch(x, self._everyone, out)

    def minibatch(self, x: Floats, samples: Indices, out: Floats) -> None:
        _mean_gradient(self._rows, x, samples, out)

    def part(self, points: Floats, segment: int, out: Floats) -> None:
        """By matrix products over blocks of data; the regulariser belongs to segment 0."""
        n = self._rows.shape[0]
        out[:] = 0.0
        if segment == 0:
            out[:, 0] = np.einsum("ij,ij->i", points, points) / (2 * n)
            np.divide(points, n, out=out[:, 1:])
        start, stop = self._edges[segment], self._edges[segment + 1]
        for low in range(start, stop, _BLOCK):
            rows = self._rows[low : min(low + _BLOCK, stop)]
            margins = rows @ points.T
            out[:, 0] += np.logaddexp(0.0, -margins).sum(axis=0) / n
            out[:, 1:] -= scipy.special.expit(-margins).T @ rows / n

    def data_sha256(self) -> str:
        """Of the rows b_i a_i, float64, one after the other."""
        return hashlib.sha256(self._rows.data).hexdigest()

    def minimum(self) -> Minimum:
        """L-BFGS, then Newton's method until rounding stops it; f is 1/n-strongly convex in the 2-norm."""
        x = scipy.optimize.minimize(self._both, np.zeros(self.dimension), jac=True, method="L-BFGS-B").x
        for _ in range(100):
            direction = scipy.linalg.solve(self._hessian(x), self._both(x)[1], assume_a="pos")
            nearer = self._nearer(x, direction)
            if nearer is None:
                break
            x = nearer
        value, gradient = self._both(x)
        return Minimum(value, float(gradient @ gradient) * self._rows.shape[0] / 2 + self._rounding(x, value))

    def _nearer(self, x: Floats, direction: Floats) -> Floats | None:
        """A point with a smaller gradient along Newton's direction, along which ||g||^2 falls; None when none is."""
        norm = np.linalg.norm(self._both(x)[1])
        for halvings in range(30):
            nearer: Floats = x - direction / 2**halvings
            if np.linalg.norm(self._both(nearer)[1]) < norm:
                return nearer
        return None

    def _rounding(self, x: Floats, value: float) -> float:
        """A limit for the error of f's value at x: margins are sums of d products, f one of n values >= 0."""
        n, d = self._rows.shape
        margins = (np.abs(self._rows) @ np.abs(x)).mean()
        return float(sys.float_info.epsilon * ((d + 1) * margins + (_SEGMENTS + 16 + math.log2(n)) * value))

    def _both(self, x: Floats) -> tuple[float, Floats]:
        out = np.empty((1, 1 + self.dimension))
        total = np.zeros_like(out)
        for segment in range(self.segments):
            self.part(x[None], segment, out)
            total += out
        return float(total[0, 0]), total[0, 1:]

    def _hessian(self, x: Floats) -> Floats:
        n = self._rows.shape[0]
        sigma = scipy.special.expit(self._rows @ x)
        weighted = self._rows * (sigma * (1 - sigma))[:, None]
        hessian: Floats = (self._rows.T @ weighted + np.eye(self.dimension)) / n
        return hessian

    def constants(self) -> dict[str, Constant]:
        """L <= sum_i ||a_i||_1^2 / (4n) + d/n, mu >= 1/n: limits in one pass over the data."""
        n = self._rows.shape[0]
        row_norms = np.abs(self._rows).sum(axis=1)
        upper = float(row_norms @ row_norms) / (4 * n) + self.dimension / n
        return {"L": Constant(upper, "upper"), "mu": Constant(1 / n, "lower")}


@checked
def logistic(*, data: str, scaling: Scaling | None = None) -> Logistic:
    """(1/n) sum log(1 + exp(-b_i a_i'x)) + ||x||^2 / (2n) (Example 5), on `data` with `scaling`"""
    features, labels = load(data, scaling)
    return Logistic(features, labels)


@kernel("float64(float64[::1], float64[::1], float64[::1])")
def _dot(a: Floats, b: Floats, lanes: Floats) -> float:
    """a'b in 16 lanes that are added in a fixed order: the same on every processor."""
    lanes[:] = 0.0
    whole = a.size - a.size % 16
    for start in range(0, whole, 16):
        for lane in range(16):
            lanes[lane] += a[start + lane] * b[start + lane]
    for i in range(whole, a.size):
        lanes[i - whole] += a[i] * b[i]
    return float(lanes.sum())


@kernel("void(float64[:, ::1], float64[::1], int64[::1], float64[::1])")
def _mean_gradient(rows: Floats, x: Floats, samples: Indices, out: Floats) -> None:
    """out = x/n - mean over the samples of c_i / (1 + exp(c_i'x)), c_i = b_i a_i, in the order of the samples."""
    for j in range(x.size):
        out[j] = x[j] / rows.shape[0]
    lanes = np.empty(16)
    for i in samples:
        row = rows[i]
        margin = _dot(row, x, lanes)
        # exp of a number <= 0 only, so that no margin overflows.
        small = math.exp(-abs(margin))
        weight = (small if margin >= 0 else 1.0) / (1.0 + small) / samples.size
        for j in range(x.size):
            out[j] -= weight * row[j]
