"""Example 5: regularised logistic regression."""

import sys
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import scipy  # its parts are imported when they are used
from typing_extensions import override

from mpisign.arrays import Floats, Indices
from mpisign.comm.shared_arrays import Share, unshared
from mpisign.compiled.text import Part
from mpisign.config.validation import InputError, Positive, checked
from mpisign.data.linear_rows import DenseRows, Rows, stored
from mpisign.data.loading import Scaling, opened, usual_scaling
from mpisign.problems.base import Minimum, Problem, WriteSlice, to_float32
from mpisign.problems.certificate import Certificate
from mpisign.problems.distributed_objective import SMALL, Objective
from mpisign.problems.finite_sum_parts import all_samples, loss_and_regulariser
from mpisign.problems.logistic_sums import LogisticSums
from mpisign.problems.regularisers import L2, Nonconvex, Regulariser
from mpisign.problems.solving.largest_hessian import LargestHessian
from mpisign.problems.solving.newton import Scaled, descend, newton
from mpisign.theory.constants import Constant
from mpisign.theory.noise import Noise, limited

_EPSILON = sys.float_info.epsilon


class Logistic(Problem):
    """f(x) = (1/n) sum log(1 + exp(-b_i a_i'x)) + r(x), on the rows c_i = b_i a_i; r is ||x||^2 / (2n) by default."""

    large: ClassVar[int] = 2**23
    """Entries of float32 data from which on many points are evaluated by float32 products first."""
    long: ClassVar[int] = 2**22
    """Entries, those that are stored, from which on a segment is worth a thread: a pass then takes milliseconds."""

    def __init__(self, rows: Rows, regulariser: Regulariser | None = None):
        self.rows, self.regulariser = rows, regulariser or L2(rows.samples)
        self.samples, self.dimension = rows.samples, rows.dimension
        self._everyone, self._sums = np.arange(rows.samples), LogisticSums(rows)
        self.segments, self.variant = self._sums.segments, self.regulariser.key
        self._solution: tuple[Floats, float, Floats] | None = None
        self._largest = LargestHessian(self._sums, self.samples, self.dimension, self.regulariser.steepest)

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

    @property
    @override
    def has_slices(self) -> bool:
        return isinstance(self.rows, DenseRows)

    @override
    def minibatch_slices(self, x: Floats, samples: Indices) -> WriteSlice:
        assert isinstance(self.rows, DenseRows)
        return self.regulariser.and_then(x, self.rows.slices(x, samples))

    @override
    def gradient_slices(self, x: Floats) -> WriteSlice:
        return self.minibatch_slices(x, self._everyone)

    def part(self, points: Floats, segment: int, out: Floats) -> None:
        """By one pass over dense rows or by matrix products; the regulariser belongs to segment 0."""
        out[:] = 0.0
        if segment == 0:
            out[:, 0] = self.regulariser.values(points)
            self.regulariser.gradient(points, out[:, 1:])
        self._sums.add_losses(points, segment, out)

    @property
    @override
    def large_parts(self) -> bool:
        return max(array.size for array in self.rows.arrays.values()) >= self.long

    @property
    @override
    def has_rough_part(self) -> bool:
        return self._sums.has_gram and self.rows.samples * self.dimension >= self.large

    def rough_part(self, points: Floats, segment: int, out: Floats) -> None:
        """Write the losses by float32 products, and the regulariser by float64 ones, d of them."""
        out[:] = 0.0
        if segment == 0:
            gradients = out[:, 1:-2]
            out[:, 0] = self.regulariser.values(points)
            self.regulariser.gradient(points, gradients)
            out[:, -2] = _EPSILON * (self.dimension + 64) * out[:, 0]
            out[:, -1] = _EPSILON * 64 * np.abs(gradients).sum(axis=1)
        self._sums.add_rough_losses(points, segment, out)

    @override
    def rounded(self) -> "Logistic":
        numbers = {name: to_float32(each) for name, each in self.rows.arrays.items() if each.dtype == np.float64}
        return Logistic(stored(self.rows.arrays | numbers), self.regulariser)

    @override
    def curvature_part(self, x: Floats, direction: Floats, segment: int, out: Floats) -> None:
        out[:] = self.regulariser.curvature(x) * direction if segment == 0 else 0.0
        self._sums.add_curvature(x, direction, segment, out)

    @override
    def hessian_part(self, x: Floats, rows: slice, segment: int, out: Floats) -> None:
        out[:] = 0.0
        if segment == 0:
            out[np.arange(len(out)), np.arange(rows.start, rows.stop)] = self.regulariser.curvature(x)[rows]
        self._sums.add_hessian(x, rows, segment, out)

    @override
    def gram_part(self, rows: slice, segment: int, out: Floats) -> None:
        self._sums.gram(rows, segment, out)

    @override
    def data_sha256(self) -> str:
        return self.rows.sha256

    def minimum(self, objective: Objective) -> Minimum:
        """Return f* with its error: with l2, by `mpisign.problems.certificate`, and at most f itself, since f* >= 0.

        The nonconvex regulariser leaves the value at a local minimum, and 0 <= f* as all that is certain.
        """
        scale = self._steepness
        if not isinstance(self.regulariser, L2):
            x = descend(Scaled(objective, scale), tolerance=1e-13) / scale
            value, gradient = objective.value_and_gradient(x)
            return Minimum(value, max(value, Certificate(self._sums, x, value, gradient).rounding()))
        x, value, gradient = self._minimiser(objective)
        certain = Certificate(self._sums, x, value, gradient)
        rounding, gap = certain.rounding(), certain.gap_limit(scale, lambda: objective.hessian(x))
        return Minimum(value, min(gap + rounding, max(value, rounding)))

    @cached_property
    def _steepness(self) -> Floats:
        """Return the square roots of diag H(0), shape (d,): one coordinate's change in f is as large as another's."""
        return np.sqrt(self._sums.mean_squares / 4 + self.regulariser.steepest)

    def _minimiser(self, objective: Objective) -> tuple[Floats, float, Floats]:
        """Return x*, f and its gradient there: solved once, for f* and for mu there."""
        if self._solution is None:
            whole = self.dimension > SMALL and self._largest.is_whole
            near = (self._largest.matrix(objective, keep=True),) if whole else ()
            self._solution = newton(objective, self._steepness, *near)
        return self._solution

    def noise(self, batch: int) -> Noise:
        """With pulls in (0, 1): sigma^2 <= mean (||a_i||_1 + mean ||a||_1)^2, and sd_j^2 <= mean a_ij^2."""
        return limited(*self._spread, batch)

    @cached_property
    def _spread(self) -> tuple[float, float]:
        """Return those limits of sigma^2 and of sum_j sd_j for one draw: two passes over the data, for all runs."""
        norms = self._sums.norms
        return float(np.square(norms + norms.mean()).mean()), float(np.sqrt(self._sums.mean_squares).sum())

    def constants(self, objective: Objective) -> dict[str, Constant]:
        """Return L; with l2 also mu = 1/n, and mu_at_minimum = 1 / max_i (H^-1)_ii for H at x* where d is small.

        L is ||H(0)||_{inf->1}: every second derivative of the loss is largest at 0, and those of the regulariser too,
        so that -H(0) <= H(x) <= H(0). mu is 1/n, not more: far out in a direction that is orthogonal to no row but a
        zero one, the loss has no curvature left, and along an e_i there is only the regulariser's.
        """
        known = self._largest.smoothness(objective)
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
            then rows of length 1, as epsilon has it. By default unit-rows for a dense bundled set, raw for a sparse one
            and for a file.
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
