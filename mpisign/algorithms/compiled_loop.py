"""Iterate between two records, saves or signals without the interpreter: the same operations, in compiled code.

Only kinds that say so are compiled (`Method.compilable`, `Part.compilable`), in one process; all else is left to the
interpreted loop, whose trajectory is the same bit for bit. Routines that are on the disk are used at once. Those that
are not are compiled when as much time as that takes has been spent without them, so that short runs never wait.
"""

import math
import os
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
from typing_extensions import override

from mpisign.aggregation.compiled_rounds import ROUNDS, Here, rounds_routine, rows_of, travels
from mpisign.aggregation.server import Server
from mpisign.algorithms.compiled_parts import compiled_parts
from mpisign.algorithms.methods import Method
from mpisign.algorithms.oracles import Source
from mpisign.algorithms.step_sizes import values
from mpisign.arrays import Floats
from mpisign.compiled.draws import draws_of
from mpisign.compiled.parameters import Block
from mpisign.compiled.routines import Budget, NotOnDisk
from mpisign.compiled.text import part_of
from mpisign.rng import RandomStreams

PATIENCE = 3.0
"""Seconds of interpreted iterations of the same kind after which it is compiled: about what that takes."""
_LOADING = 0.05
"""The same before the disk is asked."""
_SETTING = "MPISIGN_COMPILE"
"""The environment variable that says "always" or "never"; by default it depends on the time."""
_ALL = 10
"""More routines than a repeat has."""
_spent: dict[object, float] = {}
"""Seconds that this process interpreted iterations of a kind."""
_absent: set[object] = set()
"""Kinds whose routines are not all on the disk."""
_refused: set[object] = set()
"""Kinds that cannot be compiled."""


class Due(Protocol):
    """What says which iteration is recorded next; see `mpisign.engine.records.recording.Recording`."""

    due: int


class Interpreted:
    """Leave every iteration to the interpreter.

    Attributes:
        diverged_at: The k at which a reply was not finite; None while there is none.
        done: How many iterations were done in compiled code.
    """

    diverged_at: int | None = None
    done = 0

    def left(self, span: range, records: Due) -> Iterator[int]:
        """Yield the iterations of a span that are left to the interpreter, after those before them were done."""
        return iter(span)


INTERPRETED = Interpreted()


class Arrays(NamedTuple):
    """What an iteration changes: see `mpisign.engine.state.State`."""

    x: Floats
    memory: Floats
    shared: Floats


class Compiled(Interpreted):
    """Do all iterations in compiled code but for those that are recorded.

    Args:
        method: The method.
        source: The stochastic gradients.
        step: alpha_k, by k.
        server: Whose rows are used, and whose bits are counted.
        streams: The random numbers.
        arrays: What is iterated.
    """

    def __init__(
        self,
        method: Method,
        source: Source,
        step: Callable[[int], float],
        server: Server,
        streams: RandomStreams,
        arrays: Arrays,
    ):
        self._method, self._source, self._step, self._server = method, source, step, server
        self._streams, self._arrays = streams, arrays
        self._kind = type(method), part_of(source).text.key
        self._first = server.exchanges[0].ranks.node.root
        self._run: Callable[[int, Floats], int] | None = None
        self._owners: tuple[object, ...] = ()  # what the routines read by its address

    @override
    def left(self, span: range, records: Due) -> Iterator[int]:
        if not self._ready():
            began = time.perf_counter()
            yield from span
            _spent[self._kind] = _spent.get(self._kind, 0.0) + time.perf_counter() - began
            return
        k = span.start
        while k < span.stop and self.diverged_at is None:
            stop = records.due if k <= records.due < span.stop else span.stop
            if k < stop:
                k = self._ahead(k, stop)
            else:
                yield k
                k += 1

    def _ready(self) -> bool:
        """Return whether there is compiled code; it is loaded or compiled here, where it is time."""
        if self._run is None and (count := _affordable(self._kind, self._first)) is not None:
            try:
                self._run = self._made(Budget(count))
            except NotOnDisk:
                _absent.add(self._kind)
            except Exception:  # whatever numba says of a method of one's own
                if os.environ.get(_SETTING) == "always":
                    raise
                _refused.add(self._kind)
        return self._run is not None

    def _made(self, budget: Budget) -> Callable[[int, Floats], int]:
        """Return run(k, alphas): so many iterations from k on; it returns the k that comes next, or diverged."""
        rounds = ROUNDS[self._method.message]
        parts, self._owners = compiled_parts(self._method, part_of(self._source), budget)
        x, memory, shared = self._arrays
        draws = draws_of(self._streams)
        here = Here(x, memory.reshape(len(memory), math.prod(memory.shape[1:])), shared, np.empty_like(x), draws)
        rows = rows_of(self._server, self._method, len(x), draws)
        block, counts = Block((parts, here, rows)), np.zeros(4, dtype=np.int64)
        iterate = rounds_routine(rounds, block.kind, budget)

        def run(k: int, alphas: Floats) -> int:
            """Iterate, and count the bits."""
            reached: int = iterate(k, alphas, block.address, counts)
            *done, code = counts.tolist()
            self._server.count(*done)
            counts[:] = 0
            if code:
                raise OSError(code, f"MPI's error code {code} in a round of messages")
            return reached

        return run

    def _ahead(self, k: int, stop: int) -> int:
        """Iterate from k to `stop`, or to where it diverges; return the k that comes next."""
        assert self._run is not None
        self._server.start_iteration(k)
        reached = self._run(k, values(self._step, k, stop))
        self.done += reached - k
        self._server.start_iteration(reached)
        if reached < stop:
            self.diverged_at = reached
        return reached


def _affordable(kind: object, first: bool = True) -> int | None:
    """Return how many routines of a kind may be compiled now; 0: they may be loaded; None: neither.

    One at a time, between two looks at the signals. Of a node's ranks the first one compiles; the others load what it
    has compiled, or lose patience.
    """
    spent, setting = _spent.get(kind, 0.0), os.environ.get(_SETTING)
    if setting == "never" or kind in _refused:
        return None
    if setting == "always":
        return _ALL
    if spent >= PATIENCE * (1 if first else 5):
        return 1
    return 0 if spent >= PATIENCE or (spent >= _LOADING and kind not in _absent) else None


def ahead_of(
    method: Method,
    source: Source,
    step: Callable[[int], float],
    server: Server,
    streams: RandomStreams,
    arrays: Arrays,
) -> Interpreted:
    """Return what does the iterations of a repeat in compiled code, where that is possible.

    Args:
        method: The method.
        source: The stochastic gradients.
        step: alpha_k, by k.
        server: The server.
        streams: The random numbers.
        arrays: What is iterated.
    """
    whole = arrays.x.dtype == np.float64
    if whole and method.compilable and part_of(source).compilable and travels(server) is not None:
        return Compiled(method, source, step, server, streams, arrays)
    return INTERPRETED
