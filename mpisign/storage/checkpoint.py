"""The state that a trajectory file keeps of a repeat that has not ended: all that its next iteration needs."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from mpisign.arrays import Floats

_TOGETHER = 2**22
"""Bytes of short rows that are written together: a call of HDF5 takes as long for one as for many."""


class Counters(NamedTuple):
    """What a trajectory counts.

    Attributes:
        records: the records that are written.
        bits_up: bits of the messages of all workers together.
        bits_down: bits of the replies to all workers together.
        seconds: on the recorder's clock.
    """

    records: int = 0
    bits_up: int = 0
    bits_down: int = 0
    seconds: float = 0.0


class Memories(NamedTuple):
    """What a method remembers of each worker, row by row, so that nobody needs room for all of them.

    Attributes:
        shape: (M, size of one).
        rows: float64, one for each worker, in their order; they are gone through once, and a row holds until the next.
    """

    shape: tuple[int, int]
    rows: Iterable[Floats]

    def write(self, dataset: Any) -> None:
        """Write the rows into a dataset of this shape, as they come."""
        if isinstance(self.rows, np.ndarray):
            dataset[...] = self.rows
            return
        count = max(1, _TOGETHER // max(1, 8 * self.shape[1]))
        some = np.empty((min(count, self.shape[0]), self.shape[1]))
        for place, row in enumerate(self.rows):
            some[place % count] = row
            if place % count == count - 1 or place == self.shape[0] - 1:
                first = place - place % count
                dataset[first : place + 1] = some[: place + 1 - first]

    def whole(self) -> "Memories":
        """Return the same with all rows in this process, which can be sent to another one."""
        rows = np.empty(self.shape)
        for place, row in enumerate(self.rows):
            rows[place] = row
        return Memories(self.shape, rows)


class Checkpoint(NamedTuple):
    """A state as a file keeps it.

    Attributes:
        k: the iteration that comes next.
        counters: the counters before it.
        workers: the numbers of the M workers.
        x: float64, shape (d,).
        memory: what the method remembers of each of `workers`.
        shared: what it remembers besides.
    """

    k: int
    counters: Counters
    workers: Sequence[int]
    x: Floats
    memory: Memories
    shared: Floats

    def whole(self) -> "Checkpoint":
        """Return the same with all of it in this process."""
        return self._replace(memory=self.memory.whole())
