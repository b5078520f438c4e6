"""How an exchange's rows travel in compiled code: by calls of MPI's functions, or by semaphores of a node."""

from typing import NamedTuple

import numpy as np

from mpisign.arrays import Indices, Words
from mpisign.compiled.native import run_calls
from mpisign.jit import part_of_kernels, sem_post, sem_trywait, sem_wait, yield_core

LINE = 8
"""Words of a cache line: each semaphore, at most 32 bytes on Linux, has one to itself."""
_LOOKS = 64
"""How often a rank looks at a semaphore between two offers of its core."""


class Travel(NamedTuple):
    """What an exchange does before rows are combined, and after it.

    Attributes:
        gather: calls of C functions: see `mpisign.compiled.native`.
        broadcast: the same.
        signals: the semaphores of a node, one for its leader and one for each of its ranks.
        size: how many ranks the node has; 1 where nothing is done by semaphores.
        rank: this one's number there.
        spins: how often it looks before it sleeps.
    """

    gather: Indices
    broadcast: Indices
    signals: Words
    size: int = 1
    rank: int = 0
    spins: int = 0


NO_SIGNALS: Words = np.zeros(1, dtype=np.uint64)


def wait_for(semaphores: Words, index: int, count: int, spins: int) -> int:
    """Take `count` from a semaphore, asleep after `spins` looks; return how many are missing when a signal came."""
    looks = 0
    while count:
        if looks < spins:
            looks += 1
            count -= sem_trywait(semaphores, LINE * index) == 0
            if looks % _LOOKS == 0:
                yield_core()
        elif sem_wait(semaphores, LINE * index) == 0:
            count -= 1
        else:
            return count
    return count


_wait = part_of_kernels(wait_for)


@part_of_kernels
def gather(travel: Travel, code: int) -> int:
    """Bring the rows to rank 0; return MPI's error code, or 0; after an error, `code`, call nothing."""
    if code != 0:
        return code
    if travel.size > 1 and travel.rank == 0:
        left = travel.size - 1
        while left:
            left = _wait(travel.signals, 0, left, travel.spins)
    elif travel.size > 1:
        sem_post(travel.signals, 0)
    return run_calls(travel.gather)


@part_of_kernels
def broadcast(travel: Travel, code: int) -> int:
    """Bring the reply to every rank; return MPI's error code, or 0; after an error, `code`, call nothing."""
    if code != 0:
        return code
    if travel.size > 1 and travel.rank == 0:
        for rank in range(1, travel.size):
            sem_post(travel.signals, LINE * rank)
    elif travel.size > 1:
        left = 1
        while left:
            left = _wait(travel.signals, travel.rank, left, travel.spins)
    return run_calls(travel.broadcast)
