"""The minimiser of f by L-BFGS and Newton's method, on the root."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import scipy  # its parts are imported when they are used: all of them would take longer than to plan a run

from mpisign.arrays import Floats
from mpisign.problems.distributed_objective import SMALL, Objective
from mpisign.problems.solving.kept_steps import KeptSteps

_LIFT = 1e-3
"""What makes a Hessian of unit diagonal definite in float32."""
_FLAT = 1e-14
"""A change of f as small as this, relatively, may be rounding."""
_STEP, _DESCENT = "newton", "descent"
"""What is kept: how many of Newton's steps were made, y, f and its gradient; what L-BFGS was told, a row each time."""
_MOST_TOLD = 2**22
"""Numbers of those rows that are kept, at most: 32 MB."""
Operator: TypeAlias = Any
"""scipy.sparse.linalg.LinearOperator."""


class Scaled:
    """f as a function of y = scale x, so that no coordinate is much steeper than another.

    scale: float64, shape (d,), > 0. Points, gradients and Hessians are those of y.
    """

    def __init__(self, objective: Objective, scale: Floats):
        self.dimension, self._objective, self._scale = objective.dimension, objective, scale
        self.steps = objective.steps

    def value_and_gradient(self, y: Floats) -> tuple[float, Floats]:
        """Return f and its gradient, shape (d,)."""
        value, gradient = self._objective.value_and_gradient(y / self._scale)
        return value, gradient / self._scale

    def curvature(self, y: Floats, direction: Floats) -> Floats:
        """Return the Hessian at y times `direction`, shape (d,)."""
        return self._objective.curvature(y / self._scale, direction / self._scale) / self._scale

    def hessian(self, y: Floats) -> Floats:
        """Return the Hessian at y, shape (d, d)."""
        return self._objective.hessian(y / self._scale) / self._scale / self._scale[:, None]


def descend(objective: Objective | Scaled, tolerance: float | None = None) -> Floats:
    """Return where L-BFGS ends that starts at 0; tolerance: scipy's, of f and of the gradient."""
    start, f = np.zeros(objective.dimension), _Replayed(objective)
    x: Floats = scipy.optimize.minimize(f, start, jac=True, method="L-BFGS-B", tol=tolerance).x
    return x


class _Replayed:
    """f and its gradient for a solver whose state cannot be kept: what a killed one was told is told again.

    The solver does the same again with the same bits, and passes over the data begin where the earlier ones ended.
    """

    def __init__(self, objective: Objective | Scaled):
        self._objective, self._asked = objective, 0
        found = objective.steps.found(_DESCENT) or ()
        self._told: list[Floats] = [row for rows in found for row in rows]

    def __call__(self, point: Floats) -> tuple[float, Floats]:
        """Return f and its gradient."""
        d, place = len(point), self._asked
        self._asked += 1
        if place < len(self._told) and np.array_equal(self._told[place][:d], point):
            return float(self._told[place][d]), self._told[place][d + 1 :].copy()
        value, gradient = self._objective.value_and_gradient(point)
        self._told[place:] = [np.concatenate([point, [value], gradient])]
        if len(self._told) * (2 * d + 1) <= _MOST_TOLD:
            self._objective.steps.keep(_DESCENT, self._told)
        return value, gradient


def newton(
    objective: Objective, scale: Floats | None = None, near: Floats | None = None
) -> tuple[Floats, float, Floats]:
    """Minimise a strongly convex f: L-BFGS, then Newton while rounding lets it.

    Args:
        objective: f, asked for on the root.
        scale: steepness of each coordinate, shape (d,), > 0; the solver works on y = scale x. None: all 1.
        near: a Hessian of f, shape (d, d), of which the diagonal is the square of `scale`, where d is beyond SMALL.
            By its inverse in float32 conjugate gradients need few passes, and there is no L-BFGS.

    Returns:
        The minimiser x, f(x) and the gradient at x.
    """
    scale = np.ones(objective.dimension) if scale is None else scale
    of_y, inverse = Scaled(objective, scale), None if near is None else _rough_inverse(near, scale)
    made, y, value, gradient = _begun(of_y, inverse, objective.steps)
    # With H of unit diagonal, a gradient's sums round to more than this.
    least = 0.0 if near is None else float(np.finfo(float).eps) * len(y) ** 0.5
    for step in range(made, 100):
        # All that follows is a function of these, so that a killed search goes on to the same bits.
        objective.steps.keep(_STEP, step, y, value, gradient)
        if np.linalg.norm(gradient) <= least:
            break
        nearer = _nearer(of_y, y, value, gradient, _newton_direction(of_y, y, gradient, inverse))
        if nearer is None:
            break
        y, value, gradient = nearer
    return y / scale, value, gradient * scale


def _begun(of_y: Scaled, inverse: Operator | None, steps: KeptSteps) -> tuple[int, Floats, float, Floats]:
    """Return how many of Newton's steps were made, and the point that they have led to, with f and its gradient."""
    kept = steps.found(_STEP)
    if kept is not None:
        made, y, value, gradient = kept
        return int(made), y, float(value), gradient
    y = descend(of_y) if inverse is None else np.zeros(of_y.dimension)
    return 0, y, *of_y.value_and_gradient(y)


def _newton_direction(objective: Scaled, y: Floats, gradient: Floats, rough: Operator | None) -> Floats:
    """Return H^-1 g, to a hundredth of ||g|| where it is found by conjugate gradients alone; rough: H^-1 nearly."""
    d = objective.dimension
    product = scipy.sparse.linalg.LinearOperator(
        (d, d), matvec=lambda v: objective.curvature(y, v.ravel()), dtype=np.float64
    )
    if d > SMALL:
        direction, _ = scipy.sparse.linalg.cg(product, gradient, rtol=1e-2, maxiter=10 * d, M=rough)
        return direction
    inverse, certain = _inverse(objective.hessian(y))
    direction = inverse(gradient)
    if not certain:  # the curvature along a direction loses less to rounding than a sum of squares does
        inverse_of = scipy.sparse.linalg.LinearOperator((d, d), matvec=lambda v: inverse(v.ravel()), dtype=np.float64)
        direction, _ = scipy.sparse.linalg.cg(product, gradient, direction, rtol=1e-12, maxiter=d, M=inverse_of)
    return direction


def _rough_inverse(near: Floats, scale: Floats) -> Operator | None:
    """Return the inverse of a Hessian in scaled coordinates by float32, or None where it is not definite at all."""
    unit = (1 / scale).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        matrix = near.astype(np.float32)
        matrix *= unit
        matrix *= unit[:, None]
    matrix[np.diag_indices_from(matrix)] += np.float32(_LIFT)
    if not np.isfinite(matrix).all():  # near has entries beyond float32
        return None
    try:
        factor = scipy.linalg.cholesky(matrix.T, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        return None

    def solve(v: Floats) -> Floats:
        """Return the inverse times v; v is made of size 1, which float32 can hold."""
        size = np.abs(v).max() or 1.0
        solved = scipy.linalg.cho_solve((factor, False), (v.ravel() / size).astype(np.float32), check_finite=False)
        return solved * size

    return scipy.sparse.linalg.LinearOperator(near.shape, matvec=solve, dtype=np.float64)


def _inverse(hessian: Floats) -> tuple[Callable[[Floats], Floats], bool]:
    """Return v -> H^-1 v of a positive definite H, its eigenvalues below rounding lifted, and whether none was."""
    values, vectors = scipy.linalg.eigh(hessian)
    least = len(values) * np.finfo(float).eps * values[-1]
    lifted = np.maximum(values, least)
    return lambda vector: vectors @ ((vectors.T @ vector) / lifted), bool(values[0] > least)


def _nearer(
    objective: Scaled, y: Floats, value: float, gradient: Floats, direction: Floats
) -> tuple[Floats, float, Floats] | None:
    """Return a point along Newton's direction where f has fallen, or the gradient where f is flat to rounding; or None.

    Far from the minimiser of an ill-conditioned f the gradient alone may grow on the way down. Where conjugate
    gradients leave a hundredth of it, and f has no further to fall, more than a tenth of it is rounding.
    """
    norm, fall = np.linalg.norm(gradient), 1e-4 * float(gradient @ direction)
    near = objective.dimension > SMALL and 1e4 * fall <= _FLAT * abs(value)
    norm *= 0.1 if near else 1.0
    for halvings in range(1 if near else 30):
        point = y - direction / 2**halvings
        found, slope = objective.value_and_gradient(point)
        flat = found <= value + _FLAT * abs(value) and np.linalg.norm(slope) < norm
        if flat or found < value - max(fall / 2**halvings, _FLAT * abs(value)):
            return point, found, slope
    return None
