"""f and its derivatives for a solver, with all ranks on each pass over the data.

The root runs the solver; every other rank computes its segments of f when it is asked to. What comes out is the same
on any number of ranks.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from mpisign.arrays import Floats
from mpisign.comm.communicator import Communicator
from mpisign.comm.distributed_sum import Segments
from mpisign.comm.stop_poll import StopPoll
from mpisign.config.threads import threads
from mpisign.problems.solving.kept_steps import NO_STEPS, KeptSteps
from mpisign.stop_signals import NO_SIGNALS, StopSignals

SMALL = 512
"""Up to this dimension Newton's equation is solved with the whole Hessian, beyond it by conjugate gradients."""
_ENTRIES = 2 * SMALL**2
"""Of a Hessian, that are asked for at a time: the root has room for one such block of rows a thread."""
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
    the root how many passes there were. steps: what an earlier search has found, and where this one's is kept.
    """

    def __init__(
        self,
        parts: Parts,
        ranks: Communicator,
        signals: StopSignals = NO_SIGNALS,
        count: Callable[[int], object] = lambda passes: None,
        steps: KeptSteps = NO_STEPS,
    ):
        self.dimension = d = parts.dimension
        self.steps = steps
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

    def hessian_at_origin(self) -> Floats:
        """Return the Hessian at 0, shape (d, d), of which finished rows are kept as a step."""
        self._x[:] = 0.0
        return self._symmetric(_HESSIAN, "hessian")

    def gram(self) -> Floats:
        """Return the sum of the products of a row of the data with itself, nearly, shape (d, d), kept likewise."""
        return self._symmetric(_GRAM, "gram")

    def _symmetric(self, what: int, step: str = "") -> Floats:
        """Return a matrix, block by block of rows, and symmetric to the last bit.

        What is left of the diagonal is what is right of it. Where the step has a name, finished rows are kept.
        """
        d = self.dimension
        whole = np.empty((d, d))
        for first in range(self._kept_rows(whole, step), d, self._height):
            rows = self._ask(what, first).reshape(-1, d)[: d - first]
            last = first + len(rows)
            square, right = rows[:, first:last], rows[:, last:]
            whole[first:last, first:last] = (square + square.T) / 2
            whole[first:last, last:], whole[last:, first:last] = right, right.T
            if step:
                self.steps.keep(step, whole[:last])
        return whole

    def _kept_rows(self, whole: Floats, step: str) -> int:
        """Write the rows of a symmetric matrix that are kept, on the root; return how many there are."""
        found = self.steps.found(step) if step else None
        if found is None:
            return 0
        (rows,) = found
        whole[: len(rows)], whole[len(rows) :, : len(rows)] = rows, rows[:, len(rows) :].T
        return len(rows)

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
