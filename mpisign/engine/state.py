"""The state of a repeat between two iterations: all that the next one needs, gathered for a file, and restored from it.

Randomness is a function of (seed, repeat, worker, k) (`mpisign.rng`): x, what the method remembers and the
counters are everything. What is kept does not depend on how many ranks there are.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mpisign.aggregation.server import Server
from mpisign.algorithms.methods import Method
from mpisign.arrays import Floats, Words
from mpisign.comm.communicator import Communicator
from mpisign.storage.checkpoint import Checkpoint, Counters, Memories


class State(NamedTuple):
    """The state before iteration k, on one rank; the arrays are the loop's own, and change with it.

    Attributes:
        k: the iteration that comes next.
        workers: the numbers of all workers.
        x: shape (d,), the same on every rank; float64, or float32 in a run of that precision.
        memory: what the method remembers of each worker that is hosted here, a row each.
        shared: what it remembers besides, the same on every rank.
    """

    k: int
    workers: Sequence[int]
    x: Floats
    memory: Floats
    shared: Floats


def at_start(method: Method, x: Floats, server: Server, workers: Sequence[int]) -> State:
    """Return the state before iteration 0, at x; workers: their numbers, as many as the server has."""
    one = method.memory(len(x))
    return State(0, workers, x, np.repeat(one[np.newaxis], len(server.hosted), axis=0), method.shared(len(x)))


def place_iterate(method: Method, x: Floats, server: Server) -> Floats:
    """Return x where it is stepped: in common on a node where the exchange wants that and the method allows it.

    Every rank calls it.
    """
    return server.keep(x) if method.only_subtracts else x


def collect(state: State, counters: Counters, server: Server) -> Checkpoint:
    """Return what is to be kept of a state, on the root; elsewhere its memory has no meaning. Every rank calls it.

    The root receives the memories one by one while it writes them, and has to write them all.
    """
    rows = _rows(state)
    found = server.of_all_workers(rows)
    # Where they are all here, they are written at once.
    memories = found.view(np.float64) if isinstance(found, np.ndarray) else (row.view(np.float64) for row in found)
    memory = Memories((server.workers, rows.shape[1]), memories)
    x = state.x.astype(np.float64, copy=False)  # exact, and the same in the file in either precision
    return Checkpoint(state.k, counters, state.workers, x, memory, state.shared)


def restore(kept: Checkpoint | None, state: State, server: Server, ranks: Communicator) -> tuple[State, Counters]:
    """Put what the root has kept into the arrays of `state`, on every rank; every rank calls it.

    The workers' memories go out one by one, each to the rank that hosts it: no rank needs room for all of them.

    Args:
        kept: the checkpoint; None except on the root, and there where nothing was kept.
        state: the state at the start.
        server: the server that hosts this rank's workers.
        ranks: the ranks.

    Returns:
        The state before iteration `kept.k` and the counters, on every rank; `state` as it is where nothing was kept.
    """
    # Messages are words: the seconds travel as the bits of their float64.
    head, x = np.zeros(6, dtype=np.uint64), state.x.astype(np.float64, copy=False)
    if kept is not None:
        head[:] = (True, kept.k, *kept.counters[:3], np.float64(kept.counters.seconds).view(np.uint64))
        x[:], state.shared[:] = kept.x, kept.shared
    ranks.broadcast(head)
    if not head[0]:
        return state, Counters()
    for words in (x.view(np.uint64), state.shared.view(np.uint64)):
        ranks.broadcast(words)
    state.x[:] = x
    rows = _rows(state)
    if rows.shape[1]:
        server.to_hosts(() if kept is None else _memories(kept, state.workers), rows)
    k, records, up, down = (int(number) for number in head[1:5])
    return state._replace(k=k), Counters(records, up, down, float(head[5:].view(np.float64)[0]))


def _memories(kept: Checkpoint, workers: Sequence[int]) -> Iterator[Words]:
    """Yield the memory of each of these workers, of whom some may have been lost since the checkpoint."""
    left = set(workers)
    for worker, row in zip(kept.workers, kept.memory.rows, strict=True):
        if int(worker) in left:
            yield row.view(np.uint64)


def _rows(state: State) -> Words:
    """Return the memories as message rows, uint64, shape (hosted, size of one)."""
    return state.memory.reshape(len(state.memory), int(np.prod(state.memory.shape[1:]))).view(np.uint64)
