"""The workers of a repeat: their numbers, their random numbers and their gradients.

A worker keeps its number for good, and with it its random numbers, its shard of the data and its memory. They are all
M, unless the file that a run goes on with says that some were lost.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mpisign.algorithms.oracle_base import Slices
from mpisign.algorithms.oracles import Source
from mpisign.arrays import Floats
from mpisign.comm.collectives import Collectives
from mpisign.engine.planning import PlannedRun
from mpisign.rng import RandomStreams, Stream
from mpisign.storage.checkpoint import Checkpoint


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

    def by_place(self, slices: Slices) -> Slices:
        """Return slices of gradients that are asked by a worker's place among `numbers`, instead of its number."""
        return lambda x, worker, generator: slices(x, self.numbers[worker], generator)


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
    mask[list(run.numbers if kept is None else set(run.numbers) & set(kept.workers))] = 1
    ranks.broadcast(mask)
    numbers = tuple(int(worker) for worker in np.flatnonzero(mask))
    if len(numbers) == run.workers:
        return Crew(numbers, RandomStreams(seed, repeat), run.source)
    return Crew(numbers, _StreamsOf(seed, repeat, numbers), _source_of(run.source, numbers))


class _StreamsOf(RandomStreams):
    """The random numbers of the workers with these numbers."""

    def __init__(self, seed: int, repeat: int, workers: Sequence[int]):
        super().__init__(seed, repeat)
        self._workers = workers

    def generator(self, stream: Stream, worker: int, k: int) -> np.random.Generator:
        """Return the generator of `RandomStreams`; worker: its place among those that are left."""
        return super().generator(stream, self._workers[worker], k)


def _source_of(source: Source, numbers: Sequence[int]) -> Source:
    """Return a source that is asked by a worker's place among `numbers`."""

    def ask(x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
        """Ask the worker in this place among those that are left."""
        source(x, numbers[worker], generator, out)

    return ask
