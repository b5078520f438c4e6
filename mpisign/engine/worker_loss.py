"""Go on with the workers that are left, after ranks were lost (`--on-failure continue`; ULFM, MPI 5's proposal).

The workers of a lost rank are gone; those that are left keep their numbers, and with them their random numbers, their
shard of the data and their memory. A rank that becomes the server takes rank 0's place: its workers go to the others.
"""

from collections.abc import Sequence

import numpy as np

from mpisign.aggregation.exchange import hosted_by
from mpisign.algorithms.oracles import Source
from mpisign.arrays import Floats
from mpisign.comm.communicator import Communicator
from mpisign.engine.planning import Plan, PlannedRun
from mpisign.rng import RandomStreams, Stream
from mpisign.storage.checkpoint import Checkpoint


class _StreamsOf(RandomStreams):
    """The random numbers of the workers with these numbers."""

    def __init__(self, seed: int, repeat: int, workers: Sequence[int]):
        super().__init__(seed, repeat)
        self._workers = workers

    def generator(self, stream: Stream, worker: int, k: int) -> np.random.Generator:
        """Return the generator of `RandomStreams`; worker: its place among those that are left."""
        return super().generator(stream, self._workers[worker], k)


def without_lost(planned: Plan, size: int, lost: Sequence[int]) -> Plan:
    """Return the plan without those of `size` ranks that are lost; a run may have no worker left."""
    return planned._replace(runs=[_without(run, lost, size) for run in planned.runs])


def _without(run: PlannedRun, lost: Sequence[int], size: int) -> PlannedRun:
    """Return the run without the workers that the lost ranks hosted."""
    places = {place for rank in lost for place in hosted_by(rank, size, len(run.left))}
    return run._replace(left=tuple(worker for place, worker in enumerate(run.left) if place not in places))


def agreed(run: PlannedRun, kept: Checkpoint | None, ranks: Communicator) -> PlannedRun:
    """Return the run with the workers that are left of those it had when its state was kept; every rank calls it.

    Args:
        run: the run.
        kept: the checkpoint; None except on the root, and there where nothing was kept.
        ranks: the ranks.
    """
    mask = np.zeros(run.workers, dtype=np.uint64)
    # A state that another job kept may lack workers that this job never lost.
    mask[list(run.left if kept is None else set(run.left) & set(kept.workers))] = 1
    ranks.broadcast(mask)
    return run._replace(left=tuple(int(worker) for worker in np.flatnonzero(mask)))


def streams(run: PlannedRun, seed: int, repeat: int) -> RandomStreams:
    """Return the random numbers of a repeat, by a worker's place among those that are left."""
    return RandomStreams(seed, repeat) if len(run.left) == run.workers else _StreamsOf(seed, repeat, run.left)


def source(run: PlannedRun) -> Source:
    """Return the run's source, asked by a worker's place among those that are left."""
    if len(run.left) == run.workers:
        return run.source

    def ask(x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
        """Ask the worker in this place among those that are left."""
        run.source(x, run.left[worker], generator, out)

    return ask
