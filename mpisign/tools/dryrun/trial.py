"""Execute a few iterations of a run on the ranks at hand; what comes of them is thrown away."""

import math
import time
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple

import numpy as np

from mpisign.aggregation.exchange_registry import exchange_factory
from mpisign.aggregation.server import plan_server
from mpisign.comm.communicator import Communicator
from mpisign.engine import loop
from mpisign.engine.checkpointing import Checkpoints
from mpisign.engine.planning import Plan, PlannedRun
from mpisign.engine.records.evaluation import Evaluation
from mpisign.engine.records.recording import NullRecorder
from mpisign.engine.records.schedule import block_of, schedule_of
from mpisign.engine.state import at_start, place_iterate
from mpisign.rng import RandomStreams

_SLICE = 0.05
"""Seconds of a timed slice; at least one iteration."""

_SLICES = 3
_ENOUGH = 1.0
"""Seconds of an iteration above which one is enough."""


class Seconds(NamedTuple):
    """The least and the most seconds that were found, or are expected."""

    low: float
    high: float

    def plus(self, other: "Seconds") -> "Seconds":
        """Return the sum with another range."""
        return Seconds(self.low + other.low, self.high + other.high)

    def times(self, count: float) -> "Seconds":
        """Return the range `count` times over."""
        return Seconds(count * self.low, count * self.high)


class Trial:
    """A run with so many of its workers, to be tried; a context as its server is. All its methods are collective."""

    def __init__(self, plan: Plan, run: PlannedRun, exchange: str, ranks: Communicator, workers: int):
        self._run, self._ranks, d = run, ranks, plan.problem.dimension
        self._streams, self._workers = RandomStreams(plan.experiment.seed, 0), run.numbers[:workers]
        self._server = plan_server(run.method, workers, d, exchange_factory(exchange, ranks), self._streams, run.real)
        self._start = plan.start.point(d, self._streams).astype(run.real)
        self._x = place_iterate(run.method, self._start.copy(), self._server)
        self._checkpoints = Checkpoints(ranks)

    def __enter__(self) -> "Trial":
        self._server.__enter__()
        self._checkpoints.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._checkpoints.__exit__(kind, error, trace)
        self._server.__exit__(kind, error, trace)

    def iteration(self) -> Seconds:
        """Return the seconds of one iteration: gradients, messages, vote and step."""
        return self._timed(self._iterate)

    def round(self) -> Seconds:
        """Return the seconds of one round of messages, without gradients and steps; call it after an iteration."""
        return self._timed(self._rounds)

    def _iterate(self, count: int) -> int:
        """Run `count` iterations from x_0; return how many there were before x was no longer finite."""
        self._x[:] = self._start
        run = self._run
        parts = run.method, run.source, run.step, count, self._server, self._streams, NullRecorder(), self._checkpoints
        return max(
            loop.iterate(loop.Repeat(*parts), at_start(run.method, self._x, self._server, self._workers)) or 0, 1
        )

    def _rounds(self, count: int) -> int:
        """Run `count` rounds of messages; return how many."""
        for _ in range(count):
            self._server.aggregate()
        return count

    def _timed(self, call: Callable[[int], int]) -> Seconds:
        """Return the least and the most of some slices, after one that warms up, which is all if it is a long one."""
        first = self._slice(call, 1)
        if first > _ENOUGH:
            return Seconds(first, first)
        count = max(1, min(1000, int(_SLICE / self._slice(call, 1))))
        slices = [self._slice(call, count) for _ in range(_SLICES)]
        return Seconds(min(slices), max(slices))

    def _slice(self, call: Callable[[int], int], count: int) -> float:
        """Return the seconds of one of `count` calls, by the root's clock on every rank."""
        start = time.perf_counter()
        done = call(count)
        row = np.array([(time.perf_counter() - start) / done])
        # the root's clock decides for all: ranks that took different counts would wait for each other
        self._ranks.broadcast(row.view(np.uint64))
        return max(float(row[0]), 1e-9)


def evaluations(plan: Plan, run: PlannedRun, ranks: Communicator) -> tuple[int, float]:
    """Return how many times a block of records is evaluated in a repeat, and the seconds of one of its parts, here."""
    records = len(schedule_of(plan.experiment.log, run.settings))
    points = Evaluation(plan.problem, ranks, block_of(plan.experiment.log)).points
    out = np.empty((len(points), 1 + plan.problem.dimension))
    seconds = math.inf
    for _ in range(_SLICES):
        start = time.perf_counter()
        plan.problem.part(points, 0, out)
        seconds = min(seconds, time.perf_counter() - start)
        if seconds > _SLICE:
            break
    return -(-records // len(points)), seconds
