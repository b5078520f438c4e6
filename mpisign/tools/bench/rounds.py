"""Time a round of Algorithm 3 on the ranks at hand, by each exchange, against what else could carry gradients.

All of it is timed in turn, slice by slice, so that two times of one slice make a fair ratio. A slice begins at a
barrier, and its time is that of the slowest rank.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeAlias, cast

import numpy as np

from mpisign.aggregation import bitplanes, majority_vote
from mpisign.aggregation.bitplanes import SLICE
from mpisign.aggregation.exchange import Format
from mpisign.aggregation.exchange_registry import EXCHANGES, exchange_factory
from mpisign.aggregation.messages import SignMessage
from mpisign.aggregation.server import VoteServer
from mpisign.algorithms.sliced import FROM, put_slices
from mpisign.arrays import Floats
from mpisign.comm.communicator import Communicator
from mpisign.rng import RandomStreams
from mpisign.tools.bench.compiled import always_compiled, compiled_rounds
from mpisign.tools.bench.timing import Effort, Time

DENSE = ("allreduce float32", "allreduce float64", "gather int8")
"""Dense collectives that are timed besides: a sum of the gradients, and signs a byte each, gathered and broadcast."""

WHOLE, TIED, BARE, COMPILED = "round", "round with ties", "collectives", "round, compiled"
SINGLE, MADE = "round in float32", "round, signs from the gradient"
MADE_SINGLE = "round in float32, signs from the gradient"
"""The whole round, with packing and a step: of one plane each way; the same where signs differ, so that an even M has
ties and the reply a second plane; what of the round is messages; the first one as compiled code does it; the first one
with a gradient and x in float32; and both with signs that are packed as the gradient is made, slice by slice in the
cache (`mpisign.algorithms.sliced`)."""

SHARES = ("workers pack", "root votes", "ranks apply")
"""The computing in a round, by those ranks that do it."""


def on_ranks(ranks: Communicator, dimension: int, effort: Effort) -> list[Time]:
    """Return all times at one dimension, with a worker on each rank but the first; collective."""
    with ExitStack() as stack:
        calls = _calls(ranks, dimension, stack)
        clock = Clock(ranks, effort)
        with always_compiled():
            counts = {key: clock.count(call) for key, call in calls.items()}
        taken: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
        for _ in range(effort.slices):
            for key, call in calls.items():
                taken[key].append(clock.slice(call, counts[key]))
    return [Time(what, exchange, ranks.size, dimension, taken[what, exchange]) for what, exchange in calls]


Calls: TypeAlias = dict[tuple[str, str], Callable[[int], object]]
"""What is timed, so many times in a row, by what it does and its exchange."""


def _calls(ranks: Communicator, dimension: int, stack: ExitStack) -> Calls:
    """Return the calls to be timed."""
    gradient, x = np.random.default_rng(ranks.rank).standard_normal(dimension), np.zeros(dimension)
    single: Floats = gradient.astype(np.float32)
    calls: Calls = {}
    for name in EXCHANGES:
        # of equal signs: no ties, one plane each way
        calls[WHOLE, name] = _in_a_row(_whole(ranks, name, np.abs(gradient), x, stack))
        calls[TIED, name] = _in_a_row(_whole(ranks, name, gradient, x, stack))
        calls[SINGLE, name] = _in_a_row(_whole(ranks, name, np.abs(single), np.zeros_like(single), stack))
        if dimension >= FROM:  # below it a run does no such thing
            calls[MADE, name] = _in_a_row(_made(ranks, name, x, stack))
            calls[MADE_SINGLE, name] = _in_a_row(_made(ranks, name, np.zeros_like(single), stack))
        calls[BARE, name] = _in_a_row(bare(ranks, name, dimension, stack))
        compiled = compiled_rounds(ranks, name, np.abs(gradient), stack)
        calls |= {} if compiled is None else {(COMPILED, name): compiled}
    calls |= {(what, ""): _in_a_row(call) for what, call in _shares(ranks, gradient, x).items()}
    return calls | {(what, ""): _in_a_row(call) for what, call in _dense(dimension).items()}


def _in_a_row(call: Callable[[], object]) -> Callable[[int], object]:
    """Return what calls so many times in a row."""

    def calls(count: int) -> None:
        for _ in range(count):
            call()

    return calls


def _whole(ranks: Communicator, name: str, gradient: Floats, x: Floats, stack: ExitStack) -> Callable[[], object]:
    """Return a call of a whole round: workers pack, the server votes, ranks apply."""
    return _round(ranks, name, x, stack, lambda message: message.put(gradient))


def _made(ranks: Communicator, name: str, x: Floats, stack: ExitStack) -> Callable[[], object]:
    """Return the same with signs that are packed as the gradient is made, which takes no time here: it is in `room`."""
    rooms = [np.ones(min(SLICE, len(x)), dtype=x.dtype)]
    return _round(ranks, name, x, stack, lambda message: put_slices(message, lambda start, out: None, rooms))


def _round(
    ranks: Communicator, name: str, x: Floats, stack: ExitStack, put: Callable[[SignMessage], None]
) -> Callable[[], object]:
    server = stack.enter_context(
        VoteServer(exchange_factory(name, ranks), ranks.size - 1, len(x), "exact", RandomStreams(0, 0))
    )
    kept = server.keep(x)

    def call() -> None:
        for worker in server.hosted:
            put(cast(SignMessage, server.message(worker)))
        server.aggregate().subtract_from(kept, 1e-9)

    return call


def bare(ranks: Communicator, name: str, dimension: int, stack: ExitStack) -> Callable[[], object]:
    """Return a call of a round's messages alone."""
    width = bitplanes.words(dimension)
    exchange = exchange_factory(name, ranks)(ranks.size - 1, Format(1, width, width, ballots=True))
    stack.callback(exchange.close)

    def call() -> None:
        exchange.gather()
        exchange.broadcast_reply(0)

    return call


def _shares(ranks: Communicator, gradient: Floats, x: Floats) -> dict[str, Callable[[], object]]:
    """Return calls of a round's computing, each at the same time on all ranks that do it."""
    rows = np.random.default_rng(0).integers(0, 2**64, (ranks.size - 1, bitplanes.words(len(x))), dtype=np.uint64)
    plane, weak = np.zeros((2, rows.shape[1]), dtype=np.uint64)
    shares: tuple[Callable[[], object], ...] = (
        (lambda: None) if ranks.root else lambda: bitplanes.pack(gradient, plane),
        (lambda: majority_vote.vote(rows, rows[:0], plane, weak)) if ranks.root else lambda: None,
        lambda: bitplanes.subtract(x, 1e-9, plane),
    )
    return dict(zip(SHARES, shares, strict=True))


def _dense(dimension: int) -> dict[str, Callable[[], object]]:
    """Return calls of the dense collectives."""
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    single, double = np.zeros((2, dimension), dtype=np.float32), np.zeros((2, dimension))
    bytes_, all_bytes = np.zeros(dimension, dtype=np.int8), np.zeros((world.size, dimension), dtype=np.int8)

    def gather() -> None:
        world.Gather(bytes_, all_bytes)
        world.Bcast(bytes_)

    allreduces = (lambda: world.Allreduce(single[0], single[1]), lambda: world.Allreduce(double[0], double[1]))
    return dict(zip(DENSE, (*allreduces, gather), strict=True))


class Clock:
    """A clock for calls that all ranks make together."""

    def __init__(self, ranks: Communicator, effort: Effort):
        from mpi4py import MPI

        self._world, self._slowest, self._effort = MPI.COMM_WORLD, MPI.MAX, effort

    def count(self, call: Callable[[int], object]) -> int:
        """Return how many calls fill a slice, the same on every rank."""
        call(1)
        return max(1, int(self._effort.lockstep / self.slice(call, 3)))

    def slice(self, call: Callable[[int], object], count: int) -> float:
        """Return the seconds of one of `count` calls in a row, on the slowest rank."""
        self._world.Barrier()
        # timed from the barrier's end: ranks leave it at nearly the same moment
        start = time.perf_counter()
        call(count)
        # the slowest rank's time is known to all, so that all count alike and none waits in a collective alone
        return float(self._world.allreduce((time.perf_counter() - start) / count, self._slowest))
