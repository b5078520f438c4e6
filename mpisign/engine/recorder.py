"""Record a repeat: keep iterates at the recorded k, evaluate them in blocks and write these.

The evaluation of f and its gradient at a block of iterates is shared by the ranks, part by part of the problem; the
root adds the parts in their order. The clock does not run meanwhile, nor while a state is saved.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from mpisign.aggregation.messages import Message
from mpisign.aggregation.server import Server
from mpisign.arrays import Floats, Indices, Signs
from mpisign.comm.communicator import Communicator
from mpisign.comm.distributed_sum import Interrupted
from mpisign.engine.records.clocks import EVALUATION, OFF, STEP, WRITING, NoClocks
from mpisign.engine.records.evaluation import Evaluation
from mpisign.engine.records.goal import Goal
from mpisign.engine.records.pending import Row, hand_out, pending_of
from mpisign.engine.records.recording import Sink
from mpisign.engine.state import State, collect
from mpisign.stop_signals import StopRequested
from mpisign.storage.checkpoint import Checkpoint, Counters, Pending


class Recorder:
    """The records of one repeat.

    A record has its place in a block by its number, however often the block is evaluated before it is full: see
    `Evaluation`.

    Args:
        evaluation: f and its gradient at a block.
        server: the server whose bits are counted.
        ks: the recorded k.
        sink: where blocks go; None except on the root.
        iterates: whether the iterates themselves are written, too.
        goal: the rules by which the repeat ends before K, where there are some; blocks then have one record.
        clocks: the seconds of each part of an iteration, where they are taken.
        asked: asked by all ranks together, now and then while f is evaluated: the signal that asks for a stop, or 0.

    Attributes:
        due: the next k to record; -1 after the last.
        ended: the rule by which the repeat has ended before K, or "".
        stopped_by: the signal that has ended an evaluation before its end, or 0; what it was to evaluate is kept.
    """

    def __init__(
        self,
        evaluation: Evaluation,
        server: Server,
        ks: Indices,
        sink: Sink | None,
        iterates: bool,
        goal: Goal | None = None,
        clocks: NoClocks = OFF,
        asked: Callable[[], int] = lambda: 0,
    ):
        self._clocks, self._asked, self.stopped_by = clocks, asked, 0
        self._goal, self.ended = goal, ""
        self._evaluation, self._server = evaluation, server
        self._ks, self._sink, self._iterates = ks, sink, iterates
        self._signs: Signs = np.zeros(evaluation.points.shape, dtype=np.int8)
        self._rows: list[Row] = []
        self._written = 0
        self._clock = 0.0
        self._seconds = 0.0
        self.due = int(ks[0])

    def resume(self, counters: Counters, kept: Checkpoint | None, ranks: Communicator) -> None:
        """Go on from a saved state; every rank calls it.

        Args:
            counters: of that state; the number of written records, and the seconds on the clock, are taken from them.
            kept: the state, on the root; None elsewhere, and where there is none.
            ranks: the ranks.
        """
        self._written, self._seconds = counters.records, counters.seconds
        pending = None if kept is None else kept.pending
        self._rows = hand_out(pending, ranks, self._evaluation.points, self._signs, self._written, self._clocks.own())
        self.due = self._next_due()

    def start(self) -> None:
        """Start the clock, and evaluate a block that was full when an earlier job was stopped."""
        self._clock = time.perf_counter()
        self._clocks.start()
        if len(self._rows) == len(self._signs):
            self._flush()

    def record(self, k: int, x: Floats, alpha: float, reply: Message) -> bool:
        """Keep x_k and what was known at k; evaluate and write when the block is full.

        Args:
            k: the iteration.
            x: x_k, shape (d,).
            alpha: the step size alpha_k.
            reply: what the server answered at k.

        Returns:
            Whether the repeat ends there, the same on every rank.
        """
        # Signs are unpacked now: the server writes its next reply into the same memory.
        reply.signs(self._signs[self._place])
        self._keep(x, k=k, scale=reply.number, step=alpha, ties=reply.ties)
        if self._place == 0:
            self._flush()
        if self._goal is not None:  # the evaluation is not interrupted then
            self.ended = self._goal.met()
        return bool(self.ended)

    def stop(self, k: int, x: Floats) -> int | None:
        """Record the last iterate; return k if it is not finite or lies before K: the repeat diverged; else None."""
        self._signs[self._place] = 0
        self._keep(x, k=k, scale=np.nan, step=np.nan, ties=-1)
        if k != self._ks[-1]:  # it has diverged: no state of it could be gone on with
            self._asked = lambda: 0
        self._flush()
        if self.stopped_by:  # the state at K makes this record again
            self._rows.pop()
        finished = k == self._ks[-1] and bool(np.isfinite(x).all())
        return None if finished else k

    def _flush(self) -> None:
        """Evaluate what has been kept, on all ranks, and write it on the root."""
        with self._clock_stopped():
            self._write()

    def save(self, state: State) -> None:
        """Write what has been kept, and the state after it; every rank calls it, between two iterations.

        Where a signal ends the evaluation, what has been kept is saved as it is.

        Raises:
            StopRequested: a signal has ended an evaluation.
        """
        with self._clock_stopped():
            self._write()
            kept = self._collected(state, self._written)._replace(pending=self._pending())
            if self._sink is not None:
                self._sink.save(kept)
        if self.stopped_by:  # at once: a repeat that diverged before the next look would end without what is kept
            raise StopRequested(self.stopped_by)

    def obey(self, state: State) -> None:
        """Save the state and raise StopRequested where a signal has ended an evaluation; every rank calls it."""
        if self.stopped_by:
            self._asked()  # all ranks have made their step when all are here
            self.save(state)

    def _pending(self) -> Pending | None:
        """Return the records that are kept and not evaluated, on the root."""
        if not self._rows or self._sink is None:
            return None
        kept = self._places()
        return pending_of(self._rows, self._evaluation.points[kept], self._signs[kept])

    def last(self, state: State) -> Checkpoint | None:
        """Return the state after iteration K - 1, from which a longer run goes on; every rank calls it.

        None where a rule has ended the repeat: it would end a longer one there, too. All records count but the last
        one: at K no step was made, and a longer run makes that record again.
        """
        return None if self.ended else self._collected(state, self._written - 1)

    def _collected(self, state: State, records: int) -> Checkpoint:
        """Return what is to be kept of a state with so many records; every rank calls it."""
        counters = Counters(records, self._server.bits_up, self._server.bits_down, self._seconds)
        return collect(state, counters, self._server)._replace(clocks=self._clocks.totals())

    @contextmanager
    def _clock_stopped(self) -> Iterator[None]:
        """Stop the clock inside the context."""
        self._seconds += time.perf_counter() - self._clock
        self._clocks.lap(STEP)
        yield
        self._clocks.lap(WRITING)
        self._clock = time.perf_counter()

    @property
    def _place(self) -> int:
        """Return where the next record is kept in its block."""
        return (self._written + len(self._rows)) % len(self._signs)

    def _next_due(self) -> int:
        """Return the k of the next record, -1 if there is none."""
        recorded = self._written + len(self._rows)
        return int(self._ks[recorded]) if recorded < len(self._ks) else -1

    def _keep(self, x: Floats, **known: float) -> None:
        """Keep the point and what is known of it in the block, and move on to the next recorded k."""
        self._evaluation.points[self._place] = x
        elapsed = time.perf_counter() - self._clock
        self._clocks.lap(STEP)
        bits = {"bits_up": self._server.bits_up_at_k, "bits_down": self._server.bits_down_at_k}
        self._rows.append(known | bits | {"seconds": self._seconds + elapsed} | self._clocks.own())
        self.due = self._next_due()

    def _write(self) -> None:
        """Evaluate the block on all ranks, and write its new records on the root, unless a signal comes before."""
        if not self._rows or self.stopped_by:
            return
        try:  # all ranks take part, also those that write nothing
            results = self._evaluation.run(self._interrupted)
        except Interrupted:
            return
        self._clocks.lap(EVALUATION)
        clocks = self._clocks.columns(np.array([[row[name] for name in self._clocks.own()] for row in self._rows]))
        if self._sink is not None:
            block = self._block(results) | clocks
            self._sink.append(block)
            if self._goal is not None:
                self._goal.look(block)
        self._written += len(self._rows)
        self._rows.clear()

    def _interrupted(self) -> bool:
        """Return whether a signal asks for a stop; every rank calls it."""
        self.stopped_by = self._asked()
        return self.stopped_by != 0

    def _places(self) -> slice:
        """Return where the records are that are kept and not written."""
        first = self._written % len(self._signs)
        return slice(first, first + len(self._rows))

    def _block(self, results: Floats) -> dict[str, np.ndarray]:
        """Return the new records by column; results: f and its gradient at the block's points, shape (r, 1 + d)."""
        kept = self._places()
        gradients = results[kept, 1:]
        block = {name: np.array([row[name] for row in self._rows]) for name in self._rows[0]}
        block["value"] = results[kept, 0]
        block["gradient_l1"] = np.abs(gradients).sum(axis=1)
        block["agreement"] = np.array(list(self._agreement(gradients, self._signs[kept])))
        if self._iterates:
            block["x"] = self._evaluation.points[kept].copy()
        return block

    def _agreement(self, gradients: Floats, replies: Signs) -> Iterator[float]:
        """Yield the share of the coordinates with a nonzero gradient where the reply has its sign; NaN if none has."""
        for gradient, signs, row in zip(gradients, replies, self._rows, strict=True):
            known = (gradient != 0) & np.isfinite(row["scale"])
            yield float((np.sign(gradient) == signs)[known].mean()) if known.any() else np.nan
