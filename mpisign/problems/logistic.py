"""Example 5: regularised logistic regression."""

import math
import sys
from collections.abc import Iterator
from functools import cached_property
from typing import Literal

import numpy as np
import scipy  # its parts are imported when they are used
from typing_extensions import override

from mpisign.arrays import Floats, Indices
from mpisign.comm.shared_arrays import Share, unshared
from mpisign.compiled.text import Part
from mpisign.config.validation import InputError, Positive, checked
from mpisign.data.linear_rows import Matrix, Rows, stored
from mpisign.data.loading import Scaling, opened, usual_scaling
from mpisign.problems.base import Minimum, Problem
from mpisign.problems.certificate import MARGIN_ERROR, global_limit, local_limit
from mpisign.problems.distributed_objective import SMALL, Objective, Scaled, descend, newton
from mpisign.problems.finite_sum_parts import all_samples, loss_and_pull, loss_and_regulariser
from mpisign.problems.regularisers import L2, Nonconvex, Regulariser
from mpisign.theory.constants import Constant
from mpisign.theory.noise import Noise, limited
from mpisign.theory.smoothness import smoothness

_SEGMENTS = 16
BLOCK = 2048
"""Data points that are multiplied at a time."""
_WIDEST, _WORK = 4096, 2 * 10**12
"""L is found from the whole Hessian up to this d and this n d^2: epsilon's is 1.6e12, two minutes of one core, once."""
_EPSILON = sys.float_info.epsilon


def has_whole_hessian(samples: int, dimension: int) -> bool:
    """Return whether L of so many data points is found from the whole Hessian, which is then held: d x d."""
    return dimension <= _WIDEST and samples * dimension**2 <= _WORK


class Logistic(Problem):
    """f(x) = (1/n) sum log(1 + exp(-b_i a_i'x)) + r(x), on the rows c_i = b_i a_i; r is ||x||^2 / (2n) by default."""

    def __init__(self, rows: Rows, regulariser: Regulariser | None = None):
        self.rows, self.regulariser = rows, regulariser or L2(rows.samples)
        self.samples, self.dimension = rows.samples, rows.dimension
        self.segments, self.variant = _SEGMENTS, self.regulariser.key
        self._everyone, self._edges = np.arange(rows.samples), np.linspace(0, rows.samples, _SEGMENTS + 1).astype(int)
        self._solution: tuple[Floats, float, Floats] | None = None

    @override
    def value(self, x: Floats) -> float:
        out = np.empty((1, 1 + self.dimension))
        total = 0.0
        for segment in range(self.segments):
            self.part(x[None], segment, out)
            total += float(out[0, 0])
        return total

    @override
    def gradient(self, x: Floats, out: Floats) -> None:
        self.minibatch(x, self._everyone, out)

    @override
    def minibatch(self, x: Floats, samples: Indices, out: Floats) -> None:
        self.regulariser.gradient(x, out)
        self.rows.add_loss_gradient(x, samples, out)

    @override
    def minibatch_part(self) -> Part:
        return loss_and_regulariser(self.rows.loss_part(), self.regulariser.gradient_part())

    @override
    def gradient_part(self) -> Part:
        return all_samples(self.minibatch_part(), self._everyone)

    def part(self, points: Floats, segment: int, out: Floats) -> None:
        """By matrix products over blocks of data; the regulariser belongs to segment 0."""
        n = self.rows.samples
        out[:] = 0.0
        if segment == 0:
            out[:, 0] = self.regulariser.values(points)
            self.regulariser.gradient(points, out[:, 1:])
        for block in self._blocks(segment):
            losses, pulls = loss_and_pull(points @ block.T)
            out[:, 0] += losses.sum(axis=1) / n
            out[:, 1:] -= pulls @ block / n

    @override
    def curvature_part(self, x: Floats, direction: Floats, segment: int, out: Floats) -> None:
        out[:] = self.regulariser.curvature(x) * direction if segment == 0 else 0.0
        for block, weights in self._weighed(x, segment):
            out += (weights * (block @ direction)) @ block

    @override
    def hessian_part(self, x: Floats, rows: slice, segment: int, out: Floats) -> None:
        out[:] = 0.0
        if segment == 0:
            out[np.arange(len(out)), np.arange(rows.start, rows.stop)] = self.regulariser.curvature(x)[rows]
        for block, weights in self._weighed(x, segment):
            product = (block[:, rows].T * weights) @ block
            out += product if isinstance(product, np.ndarray) else product.toarray()

    def _weighed(self, x: Floats, segment: int) -> Iterator[tuple[Matrix, Floats]]:
        """Return blocks of the data with the second derivatives of their losses, over n."""
        for block in self._blocks(segment):
            pulls = scipy.special.expit(block @ x)
            yield block, pulls * (1 - pulls) / self.rows.samples

    def _blocks(self, segment: int) -> Iterator[Matrix]:
        first, last = self._edges[segment], self._edges[segment + 1]
        for start in range(first, last, BLOCK):
            yield self.rows.block(start, min(start + BLOCK, last))

    @override
    def data_sha256(self) -> str:
        return self.rows.sha256

    def minimum(self, objective: Objective) -> Minimum:
        """Return f* with its error: with l2, by `mpisign.problems.certificate`, and at most f itself, since f* >= 0.

        The nonconvex regulariser leaves the value at a local minimum, and 0 <= f* as all that is certain.
        """
        if not isinstance(self.regulariser, L2):
            scale = self._steepness
            x = descend(Scaled(objective, scale), tolerance=1e-13) / scale
            value, _ = objective.value_and_gradient(x)
            return Minimum(value, max(value, self._rounding(x, value)))
        x, value, _ = self._minimiser(objective)
        rounding = self._rounding(x, value)
        return Minimum(value, min(self._gap_limit(objective) + rounding, max(value, rounding)))

    def _gap_limit(self, objective: Objective) -> float:
        """Return an upper limit of f - f* at the minimiser found, by its gradient with the rounding of that."""
        x, _, gradient = self._minimiser(objective)
        n = self.rows.samples
        margin_errors = _EPSILON * (self.dimension + 1) * self._absolute_margins(np.abs(x))
        # A weight 1 / (1 + exp(m)) is off by a quarter of its margin's error at most.
        sums = _EPSILON * (self._additions * self._weighed_sizes(np.ones(n)) + 4 * np.abs(x)) / n
        limit = global_limit(gradient, sums + self._weighed_sizes(margin_errors / 4) / n, n)
        if self.dimension > SMALL or margin_errors.max() > MARGIN_ERROR:
            return limit
        return min(limit, self._local_limit(objective, sums, float(np.sqrt(np.square(margin_errors).mean())) / 2))

    def _local_limit(self, objective: Objective, sums: Floats, pull_error: float) -> float:
        """Return the limit by the Hessian; sums: the gradient's rounding but for that of the weights, shape (d,)."""
        x, _, gradient = self._minimiser(objective)
        scale = self._steepness
        hessian = objective.hessian(x) / scale / scale[:, None]
        error = _EPSILON * self._additions * float(hessian.trace())
        floor = float(1 / (self.rows.samples * scale.max() ** 2))
        return local_limit(hessian, error, floor, gradient / scale, sums / scale, pull_error, self._bend(x))

    def _bend(self, x: Floats) -> float:
        """Return M >= max_i ||a_i||_{H^-1} at x.

        As H >= w_i a_i a_i' + I / n, its square is at most 1 / w_i and n ||a_i||^2.
        """
        n, largest = self.rows.samples, 0.0
        for segment in range(self.segments):
            for block, weights in self._weighed(x, segment):
                squares = np.asarray((block * block).sum(axis=1)).ravel()
                with np.errstate(divide="ignore"):
                    largest = max(largest, float(np.minimum(1 / weights, n * squares).max()))
        return math.sqrt(largest) * (1 + 1e-6)  # what a margin's rounding changes in a weight

    @cached_property
    def _steepness(self) -> Floats:
        """Return the square roots of diag H(0), shape (d,): one coordinate's change in f is as large as another's."""
        return np.sqrt(self._mean_squares / 4 + self.regulariser.steepest)

    @property
    def _additions(self) -> float:
        """Return the roundings that an entry of a sum over all data points goes through, block by block."""
        return min(BLOCK, self.rows.samples) + self.rows.samples / (_SEGMENTS * BLOCK) + _SEGMENTS + 8

    def _minimiser(self, objective: Objective) -> tuple[Floats, float, Floats]:
        """Return x*, f and its gradient there: solved once, for f* and for mu there."""
        if self._solution is None:
            self._solution = newton(objective, self._steepness)
        return self._solution

    def _rounding(self, x: Floats, value: float) -> float:
        """Return a limit for the error of f's value at x: margins are sums of d products, f one of n values >= 0."""
        n, d = self.rows.samples, self.rows.dimension
        margins = self._absolute_margins(np.abs(x)).mean()
        return float(_EPSILON * ((d + 1) * margins + (_SEGMENTS + 16 + math.log2(n)) * value))

    def _absolute_margins(self, x: Floats) -> Floats:
        """Return |c_i|'x, shape (n,), block by block: large data is never copied whole."""
        margins: Floats = np.concatenate([abs(block) @ x for block in self._all_blocks()])
        return margins

    def _weighed_sizes(self, weights: Floats) -> Floats:
        """Return the sum of w_i |c_i| over all data points, shape (d,), of weights of shape (n,)."""
        total, first = np.zeros(self.dimension), 0
        for block in self._all_blocks():
            total += weights[first : first + block.shape[0]] @ abs(block)
            first += block.shape[0]
        return total

    @cached_property
    def _mean_squares(self) -> Floats:
        """Return the mean square of each feature, shape (d,)."""
        squares: Floats = np.asarray(sum((block * block).sum(axis=0) for block in self._all_blocks())).ravel()
        return squares / self.rows.samples

    def _all_blocks(self) -> Iterator[Matrix]:
        return (block for segment in range(self.segments) for block in self._blocks(segment))

    def noise(self, batch: int) -> Noise:
        """With pulls in (0, 1): sigma^2 <= mean (||a_i||_1 + mean ||a||_1)^2, and sd_j^2 <= mean a_ij^2."""
        return limited(*self._spread, batch)

    @cached_property
    def _spread(self) -> tuple[float, float]:
        """Return those limits of sigma^2 and of sum_j sd_j for one draw: two passes over the data, for all runs."""
        norms = self._absolute_margins(np.ones(self.rows.dimension))
        return float(np.square(norms + norms.mean()).mean()), float(np.sqrt(self._mean_squares).sum())

    def constants(self, objective: Objective) -> dict[str, Constant]:
        """Return L; with l2 also mu = 1/n, and mu_at_minimum = 1 / max_i (H^-1)_ii for H at x* where d is small.

        L is ||H(0)||_{inf->1}: every second derivative of the loss is largest at 0, and those of the regulariser too,
        so that -H(0) <= H(x) <= H(0). mu is 1/n, not more: far out in a direction that is orthogonal to no row but a
        zero one, the loss has no curvature left, and along an e_i there is only the regulariser's.
        """
        known = self._smoothness(objective)
        if not isinstance(self.regulariser, L2):
            return known
        known["mu"] = Constant(1 / self.rows.samples, "exact")
        if self.dimension <= SMALL:
            known |= self._curvature_at_minimum(objective)
        return known

    def _curvature_at_minimum(self, objective: Objective) -> dict[str, Constant]:
        """Return mu_at_minimum, where the Hessian at x* can be told from a singular one; in scaled coordinates."""
        scale = self._steepness
        hessian = objective.hessian(self._minimiser(objective)[0]) / scale / scale[:, None]
        values, vectors = scipy.linalg.eigh(hessian)
        if values[0] <= len(values) * _EPSILON * values[-1]:
            return {}
        largest = float(((vectors / scale[:, None]) ** 2 / values).sum(axis=1).max())
        return {"mu_at_minimum": Constant(1 / largest, "estimate")}

    def _smoothness(self, objective: Objective) -> dict[str, Constant]:
        n, d = self.rows.samples, self.dimension
        if not has_whole_hessian(n, d):
            return self._loose_smoothness(objective)
        hessian = objective.hessian(np.zeros(d))
        # An entry, a sum over blocks and their rows, is off by a part of |A|'|A|'s; all those add to d trace at most.
        return smoothness(hessian, error=self._additions * _EPSILON * d * float(hessian.trace()))

    def _loose_smoothness(self, objective: Objective) -> dict[str, Constant]:
        """Return an upper and a lower limit of L.

        L <= sum_i ||a_i||_1^2 / (4n) + d r''(0), in one pass over the data; L >= v'H(0)v, with v found by v <- H(0)v,
        then v <- sign(H(0)v).
        """
        n, d = self.rows.samples, self.dimension
        vector, origin = np.ones(d), np.zeros(d)
        for _ in range(10):
            vector = objective.curvature(origin, vector / np.linalg.norm(vector))
        for _ in range(5):
            vector = objective.curvature(origin, np.where(vector >= 0, 1.0, -1.0))
        signs = np.where(vector >= 0, 1.0, -1.0)
        lower = float(objective.curvature(origin, signs) @ signs)
        norms = self._absolute_margins(np.ones(d))
        upper = float(np.square(norms).sum()) / (4 * n) + d * self.regulariser.steepest
        rounding = (n + d) * _EPSILON * upper
        return {"L": Constant(upper + rounding, "upper"), "L_lower": Constant(max(lower - rounding, 0.0), "lower")}


@checked
def logistic(
    *,
    data: str,
    scaling: Scaling | None = None,
    regulariser: Literal["l2", "nonconvex"] = "l2",
    weight: Positive | None = None,
    share: Share = unshared,
) -> Logistic:
    """f(x) = (1/n) sum log(1 + exp(-b_i a_i'x)) + r(x): logistic regression (Example 5).

    Args:
        data: The rows a_i and labels b_i: a bundled set, or a file, relative to where you are: made by `mpisign data`,
            LIBSVM text, or HDF5 with `features` (n, d) and `labels` (n,) of two values.
        scaling: "raw": as it is. "standardised": each feature of mean 0 and variance 1. "unit-rows": standardised,
            then rows of length 1, as epsilon has it. By default unit-rows for a bundled set, raw for a file.
        regulariser: r. "l2": ||x||^2 / (2n). "nonconvex": weight sum x_i^2 / (1 + x_i^2); f is then smooth, no more.
        weight: That of the nonconvex regulariser, and only with it; by default 0.1.
        share: How the rows are shared by the ranks of a machine.
    """
    if regulariser == "l2" and weight is not None:
        raise InputError("weight", 'expected only with regulariser = "nonconvex"')
    rows, weight = stored(share(lambda: opened(data, scaling))), 0.1 if weight is None else weight
    problem = Logistic(rows, L2(rows.samples) if regulariser == "l2" else Nonconvex(weight))
    problem.defaults = {"scaling": usual_scaling(data)} | ({} if regulariser == "l2" else {"weight": weight})
    return problem
