"""What is recorded of a repeat: kept at the recorded k, evaluated and written in blocks.

The evaluation of f and its gradient at a block of iterates is shared by the ranks, part by part of the problem; the
root adds the parts in their order. The clock does not run meanwhile, nor while a state is saved.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from mpisign.aggregation.messages import Message
from mpisign.aggregation.server import Server
from mpisign.arrays import Floats, Indices, Signs
from mpisign.comm.communicator import Communicator
from mpisign.comm.distributed_sum import Segments
from mpisign.config.experiment import Log
from mpisign.engine.state import State, collect
from mpisign.problems import Problem
from mpisign.storage.checkpoint import Checkpoint, Counters

_BLOCK = 64
"""Records that are evaluated together; fewer where that many points would take more than 32 MiB."""


class Sink(Protocol):
    """Where blocks of records go: a repeat's group in a trajectory file."""

    def append(self, block: dict[str, np.ndarray]) -> None:
        """Add records: arrays of the same length, by column."""

    def save(self, kept: Checkpoint) -> None:
        """Replace the state from which the repeat can go on."""


def schedule(log: Log, iterations: int) -> Indices:
    """The recorded k, increasing, with 0 and K = `iterations` among them."""
    if log.every is not None:
        points = np.arange(0, iterations + 1, log.every)
    else:
        points = np.round(np.geomspace(1, iterations, log.points - 1)).astype(np.int64)
    return np.unique(np.concatenate([[0], points, [iterations]])).astype(np.int64)


class Recording(Protocol):
    """What the loop asks of a recorder; due: the next k to record, or -1."""

    due: int

    def start(self) -> None:
        """Start the clock."""

    def record(self, k: int, x: Floats, alpha: float, reply: Message) -> None:
        """Keep x_k and what was known at k."""

    def stop(self, k: int, x: Floats) -> int | None:
        """Record the last iterate; return k if it is not finite or lies before K."""

    def save(self, state: State) -> None:
        """Write what has been kept, and the state after it."""


class NullRecorder:
    """A recorder that records nothing: what is left is the iteration alone."""

    due = -1

    def start(self) -> None:
        """Do nothing."""

    def record(self, k: int, x: Floats, alpha: float, reply: Message) -> None:
        """Do nothing."""

    def stop(self, k: int, x: Floats) -> int | None:
        """Return k."""
        return k

    def save(self, state: State) -> None:
        """Do nothing."""


class Recorder:
    """The records of one repeat.

    due: the next k to record. sink: None except on the root. A record has its place in a block by its number, however
    often the block is evaluated before it is full: see `Evaluation`.
    """

    def __init__(self, evaluation: "Evaluation", server: Server, ks: Indices, sink: Sink | None, iterates: bool):
        self._evaluation, self._server = evaluation, server
        self._ks, self._sink, self._iterates = ks, sink, iterates
        self._signs: Signs = np.zeros(evaluation.points.shape, dtype=np.int8)
        self._rows: list[dict[str, float]] = []
        self._written = 0
        self._clock = 0.0
        self._seconds = 0.0
        self.due = int(ks[0])

    def resume(self, counters: Counters) -> None:
        """So many records were written, and the clock showed so many seconds, before."""
        self._written, self._seconds = counters.records, counters.seconds
        self.due = self._next_due()

    def start(self) -> None:
        """Start the clock."""
        self._clock = time.perf_counter()

    def record(self, k: int, x: Floats, alpha: float, reply: Message) -> None:
        """Keep x_k and what was known at k; evaluate and write when the block is full."""
        reply.signs(self._signs[self._place])
        self._keep(x, k=k, scale=reply.number, step=alpha, ties=reply.ties)
        if self._place == 0:
            self._flush()

    def stop(self, k: int, x: Floats) -> int | None:
        """Record the last iterate; returns k if it is not finite or lies before K: the repeat diverged."""
        self._signs[self._place] = 0
        self._keep(x, k=k, scale=np.nan, step=np.nan, ties=-1)
        self._flush()
        finished = k == self._ks[-1] and bool(np.isfinite(x).all())
        return None if finished else k

    def _flush(self) -> None:
        """Evaluate what has been kept, on all ranks, and write it on the root."""
        with self._clock_stopped():
            self._write()

    def save(self, state: State) -> None:
        """Write what has been kept, and the state after it; every rank calls it, between two iterations."""
        with self._clock_stopped():
            self._write()
            server = self._server
            counters = Counters(self._written, server.bits_up, server.bits_down, self._seconds)
            kept = collect(state, counters, server)
            if self._sink is not None:
                self._sink.save(kept)

    @contextmanager
    def _clock_stopped(self) -> Iterator[None]:
        self._seconds += time.perf_counter() - self._clock
        yield
        self._clock = time.perf_counter()

    @property
    def _place(self) -> int:
        """Where the next record is kept in its block."""
        return (self._written + len(self._rows)) % len(self._signs)

    def _next_due(self) -> int:
        recorded = self._written + len(self._rows)
        return int(self._ks[recorded]) if recorded < len(self._ks) else -1

    def _keep(self, x: Floats, **known: float) -> None:
        self._evaluation.points[self._place] = x
        elapsed = time.perf_counter() - self._clock
        bits = {"bits_up": self._server.bits_up_at_k, "bits_down": self._server.bits_down_at_k}
        self._rows.append(known | bits | {"seconds": self._seconds + elapsed})
        self.due = self._next_due()

    def _write(self) -> None:
        if not self._rows:
            return
        results = self._evaluation.run()
        if self._sink is not None:
            self._sink.append(self._block(results))
        self._written += len(self._rows)
        self._rows.clear()

    def _block(self, results: Floats) -> dict[str, np.ndarray]:
        first = self._written % len(self._signs)
        kept = slice(first, first + len(self._rows))
        gradients = results[kept, 1:]
        block = {name: np.array([row[name] for row in self._rows]) for name in self._rows[0]}
        block["value"] = results[kept, 0]
        block["gradient_l1"] = np.abs(gradients).sum(axis=1)
        block["agreement"] = np.array(list(self._agreement(gradients, self._signs[kept])))
        if self._iterates:
            block["x"] = self._evaluation.points[kept].copy()
        return block

    def _agreement(self, gradients: Floats, replies: Signs) -> Iterator[float]:
        """The share of the coordinates with a nonzero gradient where the reply has its sign; NaN if none has."""
        for gradient, signs, row in zip(gradients, replies, self._rows, strict=True):
            known = (gradient != 0) & np.isfinite(row["scale"])
            yield float((np.sign(gradient) == signs)[known].mean()) if known.any() else np.nan


class Evaluation:
    """f and its gradient at a block of points.

    records: how many there will be. points: float64, shape (r, d), the same on every rank. Always all r are evaluated,
    stale ones too, so that the matrix products have the same shapes, and a point in the same place has a result of the
    same bits, however full the block is.
    """

    def __init__(self, problem: Problem, ranks: Communicator, records: int):
        self._problem = problem
        most = max(1, min(_BLOCK, 2**25 // (8 * problem.dimension)))
        count = -(-records // -(-records // most))  # the fewest blocks, and those as equal as can be
        self.points: Floats = np.zeros((count, problem.dimension))
        self._results = Segments(problem.segments, ranks, count * (1 + problem.dimension))

    def run(self) -> Floats:
        """(f, gradient) at every point, shape (r, 1 + d), on the root; elsewhere of no meaning."""
        return self._results.sum(self._part).reshape(len(self.points), -1)

    def _part(self, segment: int, out: Floats) -> None:
        self._problem.part(self.points, segment, out.reshape(len(self.points), -1))
