"""The minimiser of f: L-BFGS and Newton's method, with all ranks on each pass over the data.

The root runs the solver; every other rank computes its segments of f when it is asked to. What comes out is the same
on any number of ranks.
"""

from typing import Protocol

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.sparse.linalg

from mpisign.arrays import Floats
from mpisign.exchange import Ranks
from mpisign.segments import Segments

_SMALL = 512
"""Up to this dimension Newton's equation is solved with the whole Hessian, beyond it by conjugate gradients."""


class Parts(Protocol):
    """What is needed of a problem; see `mpisign.problems.problem.Problem`."""

    dimension: int
    segments: int

    def part(self, points: Floats, segment: int, out: Floats) -> None: ...

    def curvature_part(self, x: Floats, directions: Floats, segment: int, out: Floats) -> None: ...


class Objective:
    """f, its gradient and its curvature, asked for on the root and computed by all ranks.

    The root calls `value_and_gradient` and `curvature`, then `finish`; the others call `serve`, which returns
    when the root finishes.
    """

    def __init__(self, parts: Parts, ranks: Ranks):
        self.dimension = d = parts.dimension
        self._parts, self._ranks = parts, ranks
        self._directions = d if d <= _SMALL else 1
        self._values = Segments(parts.segments, ranks, 1 + d)
        self._curvatures = Segments(parts.segments, ranks, self._directions * d)
        self._request = np.zeros(1 + d + self._directions * d)  # what is asked, x, the directions
        self._x = self._request[1 : 1 + d]
        self._wanted = self._request[1 + d :].reshape(self._directions, d)

    def value_and_gradient(self, x: Floats) -> tuple[float, Floats]:
        """f(x) and its gradient, shape (d,)."""
        self._x[:] = x
        total = self._ask(1)
        return float(total[0]), total[1:]

    def curvature(self, x: Floats, directions: Floats) -> Floats:
        """The Hessian at x times each of the directions, shape (r, d): r = d where d is small, else 1."""
        self._x[:] = x
        self._wanted[:] = directions
        return self._ask(2).reshape(self._wanted.shape)

    def finish(self) -> None:
        """The other ranks go on."""
        self._ask(0)

    def serve(self) -> None:
        """Compute what the root asks for, until it finishes."""
        while self._answer().size:
            pass

    def _ask(self, what: int) -> Floats:
        self._request[0] = what
        return self._answer()

    def _answer(self) -> Floats:
        self._ranks.broadcast(self._request.view(np.uint64))
        if self._request[0] == 1:
            return self._values.sum(self._value_part)
        if self._request[0] == 2:
            return self._curvatures.sum(self._curvature_part)
        return np.zeros(0)

    def _value_part(self, segment: int, out: Floats) -> None:
        self._parts.part(self._x[None], segment, out[None])

    def _curvature_part(self, segment: int, out: Floats) -> None:
        self._parts.curvature_part(self._x, self._wanted, segment, out.reshape(self._wanted.shape))


def newton(objective: Objective) -> tuple[Floats, float, Floats]:
    """The minimiser of a strongly convex f, f and its gradient there: L-BFGS, then Newton while rounding lets it."""
    start = np.zeros(objective.dimension)
    x = scipy.optimize.minimize(objective.value_and_gradient, start, jac=True, method="L-BFGS-B").x
    value, gradient = objective.value_and_gradient(x)
    for _ in range(100):
        nearer = _nearer(objective, x, gradient, _newton_direction(objective, x, gradient))
        if nearer is None:
            break
        x, value, gradient = nearer
    return x, value, gradient


def _newton_direction(objective: Objective, x: Floats, gradient: Floats) -> Floats:
    """H^-1 g, to a hundredth of ||g|| where it is found by conjugate gradients."""
    d = objective.dimension
    if d <= _SMALL:
        hessian = objective.curvature(x, np.eye(d))
        direction: Floats = scipy.linalg.solve(hessian, gradient, assume_a="pos")
        return direction
    product = scipy.sparse.linalg.LinearOperator(
        (d, d), matvec=lambda v: objective.curvature(x, v.reshape(1, d))[0], dtype=np.float64
    )
    direction, _ = scipy.sparse.linalg.cg(product, gradient, rtol=1e-2, maxiter=10 * d)
    return direction


def _nearer(
    objective: Objective, x: Floats, gradient: Floats, direction: Floats
) -> tuple[Floats, float, Floats] | None:
    """A point with a smaller gradient along Newton's direction, along which ||g||^2 falls; None when none is."""
    norm = np.linalg.norm(gradient)
    for halvings in range(30):
        point = x - direction / 2**halvings
        value, slope = objective.value_and_gradient(point)
        if np.linalg.norm(slope) < norm:
            return point, value, slope
    return None
