"""Example 5: l2-regularised logistic regression."""

import math
import sys
from collections.abc import Iterator

import numpy as np
import scipy.special

from mpisign.arrays import Floats, Indices
from mpisign.datasets import Scaling, opened
from mpisign.objective import Objective, newton
from mpisign.problems.problem import Minimum, Problem
from mpisign.rows import Matrix, Rows, stored
from mpisign.settings import checked
from mpisign.sharing import Share, unshared
from mpisign.theory.constants import Constant
from mpisign.theory.noise import Noise, limited

_SEGMENTS = 16
_BLOCK = 2048
"""Data points that are multiplied at a time."""


def _loss_and_pull(margins: Floats) -> tuple[Floats, Floats]:
    """log(1 + exp(-m)) and 1 / (1 + exp(m)) from one exp(-|m|), which does not overflow."""
    small = np.exp(-np.abs(margins))
    return np.maximum(-margins, 0.0) + np.log1p(small), np.where(margins >= 0, small, 1.0) / (1.0 + small)


class Logistic(Problem):
    """f(x) = (1/n) sum log(1 + exp(-b_i a_i'x)) + ||x||^2 / (2n), on the rows c_i = b_i a_i."""

    def __init__(self, rows: Rows):
        self.rows = rows
        self.samples, self.dimension = rows.samples, rows.dimension
        self.segments = _SEGMENTS
        self._everyone = np.arange(rows.samples)
        self._edges = np.linspace(0, rows.samples, _SEGMENTS + 1).astype(int)

    def value(self, x: Floats) -> float:
        out = np.empty((1, 1 + self.dimension))
        total = 0.0
        for segment in range(self.segments):
            self.part(x[None], segment, out)
            total += float(out[0, 0])
        return total

    def gradient(self, x: Floats, out: Floats) -> None:
        self.minibatch(x, self._everyone, out)

    def minibatch(self, x: Floats, samples: Indices, out: Floats) -> None:
        np.divide(x, self.rows.samples, out=out)
        self.rows.subtract_pulls(x, samples, out)

    def part(self, points: Floats, segment: int, out: Floats) -> None:
        """By matrix products over blocks of data; the regulariser belongs to segment 0."""
        n = self.rows.samples
        out[:] = 0.0
        if segment == 0:
            out[:, 0] = np.einsum("ij,ij->i", points, points) / (2 * n)
            np.divide(points, n, out=out[:, 1:])
        for block in self._blocks(segment):
            losses, pulls = _loss_and_pull(points @ block.T)
            out[:, 0] += losses.sum(axis=1) / n
            out[:, 1:] -= pulls @ block / n

    def curvature_part(self, x: Floats, directions: Floats, segment: int, out: Floats) -> None:
        n = self.rows.samples
        np.divide(directions, n, out=out) if segment == 0 else out.fill(0.0)
        for block in self._blocks(segment):
            pull = scipy.special.expit(block @ x)
            out += (pull * (1 - pull) * (directions @ block.T)) @ block / n

    def _blocks(self, segment: int) -> Iterator[Matrix]:
        first, last = self._edges[segment], self._edges[segment + 1]
        for start in range(first, last, _BLOCK):
            yield self.rows.block(start, min(start + _BLOCK, last))

    def data_sha256(self) -> str:
        return self.rows.sha256

    def minimum(self, objective: Objective) -> Minimum:
        """f is 1/n-strongly convex in the 2-norm, so that ||g||^2 n / 2 limits the gap."""
        x, value, gradient = newton(objective)
        return Minimum(value, float(gradient @ gradient) * self.rows.samples / 2 + self._rounding(x, value))

    def _rounding(self, x: Floats, value: float) -> float:
        """A limit for the error of f's value at x: margins are sums of d products, f one of n values >= 0."""
        n, d = self.rows.samples, self.rows.dimension
        margins = self._absolute_margins(np.abs(x)).mean()
        return float(sys.float_info.epsilon * ((d + 1) * margins + (_SEGMENTS + 16 + math.log2(n)) * value))

    def _absolute_margins(self, x: Floats) -> Floats:
        """|c_i|'x, shape (n,), block by block: large data is never copied whole."""
        blocks = (block for segment in range(self.segments) for block in self._blocks(segment))
        margins: Floats = np.concatenate([abs(block) @ x for block in blocks])
        return margins

    def noise(self, batch: int) -> Noise:
        """With pulls in (0, 1): sigma^2 <= mean (||a_i||_1 + mean ||a||_1)^2, and sd_j^2 <= mean a_ij^2."""
        norms = self._absolute_margins(np.ones(self.rows.dimension))
        blocks = (block for segment in range(self.segments) for block in self._blocks(segment))
        squares = sum((block * block).sum(axis=0) for block in blocks) / self.rows.samples
        return limited(float(np.square(norms + norms.mean()).mean()), float(np.sqrt(squares).sum()), batch)

    def constants(self) -> dict[str, Constant]:
        """L <= sum_i ||a_i||_1^2 / (4n) + d/n, mu >= 1/n: limits in one pass over the data."""
        n, d = self.rows.samples, self.rows.dimension
        norms = self._absolute_margins(np.ones(d))
        upper = float(np.square(norms).sum()) / (4 * n) + d / n
        return {"L": Constant(upper, "upper"), "mu": Constant(1 / n, "lower")}


@checked
def logistic(*, data: str, scaling: Scaling | None = None, share: Share = unshared) -> Logistic:
    """(1/n) sum log(1 + exp(-b_i a_i'x)) + ||x||^2 / (2n) (Example 5), on `data` with `scaling`"""
    return Logistic(stored(share(lambda: opened(data, scaling))))
