"""Go on with the workers that are left, after ranks were lost (`--on-failure continue`; ULFM, MPI 5's proposal).

The workers of a lost rank are gone; those that are left keep their numbers, and with them their random numbers, their
shard of the data and their memory. A rank that becomes the server takes rank 0's place: its workers go to the others.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mpisign.aggregation.exchange import hosted_by
from mpisign.algorithms.oracles import Source
from mpisign.arrays import Floats
from mpisign.comm.collectives import Collectives
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


class Crew(NamedTuple):
    """The workers of one repeat.

    Attributes:
        numbers: theirs, in order; all M unless some were lost.
        streams: the random numbers of the repeat, by a worker's place among `numbers`.
        source: the stochastic gradients, asked by that place.
    """

    numbers: Sequence[int]
    streams: RandomStreams
    source: Source


def crew_of(run: PlannedRun, kept: Checkpoint | None, seed: int, repeat: int, ranks: Collectives) -> Crew:
    """Return the workers that are left of those that the run had when its state was kept; every rank calls it.

    Args:
        run: the planned run.
        kept: the state; None where there is none, and except on the root.
        seed: of all random numbers.
        repeat: the number of the repeat.
        ranks: who is to agree on it.
    """
    mask = np.zeros(run.workers, dtype=np.uint64)
    # A state that another job kept may lack workers that this job never lost.
    mask[list(run.left if kept is None else set(run.left) & set(kept.workers))] = 1
    ranks.broadcast(mask)
    numbers = tuple(int(worker) for worker in np.flatnonzero(mask))
    if len(numbers) == run.workers:
        return Crew(numbers, RandomStreams(seed, repeat), run.source)
    return Crew(numbers, _StreamsOf(seed, repeat, numbers), _source_of(run.source, numbers))


def _source_of(source: Source, numbers: Sequence[int]) -> Source:
    """Return a source that is asked by a worker's place among `numbers`."""

    def ask(x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
        """Ask the worker in this place among those that are left."""
        source(x, numbers[worker], generator, out)

    return ask
