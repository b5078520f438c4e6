"""The minimiser of f: L-BFGS and Newton's method, with all ranks on each pass over the data.

The root runs the solver; every other rank computes its segments of f when it is asked to. What comes out is the same
on any number of ranks.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
import scipy  # its parts are imported when they are used: all of them would take longer than to plan a run

from mpisign.arrays import Floats
from mpisign.comm.communicator import Communicator
from mpisign.comm.distributed_sum import Segments
from mpisign.comm.stop_poll import StopPoll
from mpisign.config.threads import threads
from mpisign.stop_signals import NO_SIGNALS, StopSignals

SMALL = 512
"""Up to this dimension Newton's equation is solved with the whole Hessian, beyond it by conjugate gradients."""
_ENTRIES = 2 * SMALL**2
"""Of a Hessian, that are asked for at a time: the root has room for one such block of rows a thread."""
_LIFT = 1e-3
"""What makes a Hessian of unit diagonal definite in float32."""
_FLAT = 1e-14
"""A change of f as small as this, relatively, may be rounding."""
Operator: TypeAlias = Any
"""scipy.sparse.linalg.LinearOperator."""
_FINISH, _VALUE, _CURVATURE, _HESSIAN, _GRAM = range(5)
"""What is asked for."""


class Parts(Protocol):
    """What is needed of a problem; see `mpisign.problems.base.Problem`."""

    dimension: int
    segments: int

    @property
    def large_parts(self) -> bool:
        """See `mpisign.problems.base.Problem.large_parts`."""

    def part(self, points: Floats, segment: int, out: Floats) -> None:
        """See `mpisign.problems.base.Problem.part`."""

    def curvature_part(self, x: Floats, direction: Floats, segment: int, out: Floats) -> None:
        """See `mpisign.problems.base.Problem.curvature_part`."""

    def hessian_part(self, x: Floats, rows: slice, segment: int, out: Floats) -> None:
        """See `mpisign.problems.base.Problem.hessian_part`."""

    def gram_part(self, rows: slice, segment: int, out: Floats) -> None:
        """See `mpisign.problems.base.Problem.gram_part`."""


class Objective:
    """f, its gradient and its curvature, asked for on the root and computed by all ranks.

    The root calls `value_and_gradient`, `curvature` and `hessian`, then `finish`; the others call `serve`, which
    returns when the root finishes. All of them raise StopRequested when one of them has had a signal. count: told on
    the root how many passes there were.
    """

    def __init__(
        self,
        parts: Parts,
        ranks: Communicator,
        signals: StopSignals = NO_SIGNALS,
        count: Callable[[int], object] = lambda passes: None,
    ):
        self.dimension = d = parts.dimension
        self._parts, self._ranks = parts, ranks
        self._count, self._passes = count, 0
        self._height = max(1, min(d, _ENTRIES // d))
        many = threads_for(parts, ranks)
        self._vectors = Segments(parts.segments, ranks, 1 + d, many)
        self._blocks = Segments(parts.segments, ranks, self._height * d, many)
        self._asked_to_stop = StopPoll(ranks, signals)
        self._request = np.zeros(2)  # what is asked for; a block's first row
        self._where = np.zeros(2 * d)
        self._x, self._direction = self._where[:d], self._where[d:]

    def value_and_gradient(self, x: Floats) -> tuple[float, Floats]:
        """Return f(x) and its gradient, shape (d,)."""
        self._x[:] = x
        total = self._ask(_VALUE)
        return float(total[0]), total[1:]

    def curvature(self, x: Floats, direction: Floats) -> Floats:
        """Return the Hessian at x times `direction`, shape (d,)."""
        self._x[:] = x
        self._direction[:] = direction
        return self._ask(_CURVATURE)[1:]

    def hessian(self, x: Floats) -> Floats:
        """Return the Hessian at x, shape (d, d)."""
        self._x[:] = x
        return self._symmetric(_HESSIAN)

    def gram(self) -> Floats:
        """Return the sum of the products of a row of the data with itself, nearly, shape (d, d)."""
        return self._symmetric(_GRAM)

    def _symmetric(self, what: int) -> Floats:
        """Return a matrix, block by block of rows, and symmetric to the last bit.

        What is left of the diagonal is what is right of it.
        """
        d = self.dimension
        whole = np.empty((d, d))
        for first in range(0, d, self._height):
            rows = self._ask(what, first).reshape(-1, d)[: d - first]
            last = first + len(rows)
            square, right = rows[:, first:last], rows[:, last:]
            whole[first:last, first:last] = (square + square.T) / 2
            whole[first:last, last:], whole[last:, first:last] = right, right.T
        return whole

    def finish(self) -> None:
        """Let the other ranks go on."""
        self._ask(_FINISH)

    def serve(self) -> None:
        """Compute what the root asks for, until it finishes."""
        while self._answer().size:
            pass

    def _ask(self, what: int, first: int = 0) -> Floats:
        self._request[:] = what, first
        answer = self._answer()
        if what != _FINISH:
            self._passes += 1
            self._count(self._passes)
        return answer

    def _answer(self) -> Floats:
        self._asked_to_stop.stop()
        self._ranks.broadcast(self._request.view(np.uint64))
        asked = int(self._request[0])
        if asked == _FINISH:
            return np.zeros(0)
        if asked != _GRAM:
            self._ranks.broadcast((self._where if asked == _CURVATURE else self._x).view(np.uint64))
        if asked == _VALUE:
            return self._vectors.sum(self._value_part)
        if asked == _CURVATURE:
            return self._vectors.sum(self._curvature_part)
        return self._blocks.sum(self._hessian_part if asked == _HESSIAN else self._gram_part)

    def _value_part(self, segment: int, out: Floats) -> None:
        self._parts.part(self._x[None], segment, out[None])

    def _curvature_part(self, segment: int, out: Floats) -> None:
        self._parts.curvature_part(self._x, self._direction, segment, out[1:])

    def _hessian_part(self, segment: int, out: Floats) -> None:
        self._parts.hessian_part(self._x, *self._asked_rows(segment, out))

    def _gram_part(self, segment: int, out: Floats) -> None:
        self._parts.gram_part(*self._asked_rows(segment, out))

    def _asked_rows(self, segment: int, out: Floats) -> tuple[slice, int, Floats]:
        """Return one block of rows, and where it goes.

        The last one may be less high, and what lies below it in `out` has no meaning.
        """
        first = int(self._request[1])
        rows = slice(first, min(first + self._height, self.dimension))
        return rows, segment, out.reshape(self._height, self.dimension)[: rows.stop - first]


def threads_for(parts: Parts, ranks: Communicator) -> int:
    """Return how many segments of a problem a rank computes at the same time; every rank calls it."""
    return threads(ranks) if parts.large_parts else 1


class Scaled:
    """f as a function of y = scale x, so that no coordinate is much steeper than another.

    scale: float64, shape (d,), > 0. Points, gradients and Hessians are those of y.
    """

    def __init__(self, objective: Objective, scale: Floats):
        self.dimension, self._objective, self._scale = objective.dimension, objective, scale

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
    start = np.zeros(objective.dimension)
    f = objective.value_and_gradient
    x: Floats = scipy.optimize.minimize(f, start, jac=True, method="L-BFGS-B", tol=tolerance).x
    return x


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
    y = descend(of_y) if inverse is None else np.zeros(objective.dimension)
    value, gradient = of_y.value_and_gradient(y)
    # With H of unit diagonal, a gradient's sums round to more than this.
    least = 0.0 if near is None else float(np.finfo(float).eps) * len(y) ** 0.5
    for _ in range(100):
        if np.linalg.norm(gradient) <= least:
            break
        nearer = _nearer(of_y, y, value, gradient, _newton_direction(of_y, y, gradient, inverse))
        if nearer is None:
            break
        y, value, gradient = nearer
    return y / scale, value, gradient * scale


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
