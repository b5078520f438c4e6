"""Sum over the segments of a problem on all ranks: the same bits on any number of them."""

from collections.abc import Callable

import numpy as np

from mpisign.arrays import Floats
from mpisign.comm.collectives import Collectives


class Segments:
    """One quantity that is a sum over segments.

    Args:
        count: how many segments there are.
        ranks: the ranks that compute them, a block of them each; of more ranks than segments those that lie apart, on
            as many machines as can be.
        columns: how many numbers the quantity has.
    """

    def __init__(self, count: int, ranks: Collectives, columns: int):
        self._ranks = ranks
        self._owners = [segment * ranks.size // count for segment in range(count)]
        self._mine = [segment for segment, owner in enumerate(self._owners) if owner == ranks.rank]
        # The root adds each row as it comes: it needs room for one, however many ranks and segments there are.
        self._rows: Floats = np.zeros((1 if ranks.root else len(self._mine), columns))

    def sum(self, compute: Callable[[int, Floats], None]) -> Floats:
        """Return the sum of what compute(segment, out) writes for each segment; every rank calls it at the same time.

        Returns:
            float64, shape (columns,), added in the order of the segments; on the root, elsewhere void.
        """
        if self._ranks.root:
            return self._added(compute)
        # First all of them, and then the messages: the root may be at its own segments until then.
        for row, segment in zip(self._rows, self._mine, strict=True):
            compute(segment, row)
        for row in self._rows:
            self._ranks.send(row.view(np.uint64), 0)
        return np.zeros(self._rows.shape[1])

    def _added(self, compute: Callable[[int, Floats], None]) -> Floats:
        """Return the sum on the root, of its own rows and of those that it receives."""
        (row,) = self._rows
        total: Floats = np.zeros(len(row))
        # By segments, not by ranks: a reduction of MPI would round in an order that depends on the number of ranks.
        for segment, owner in enumerate(self._owners):
            if owner == self._ranks.rank:
                compute(segment, row)
            else:
                self._ranks.receive(row.view(np.uint64), owner)
            total += row
        return total
