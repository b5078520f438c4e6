"""Sum over the segments of a problem on all ranks: the same bits on any number of them."""

from collections.abc import Callable

import numpy as np

from mpisign.arrays import Floats, Words
from mpisign.comm.collectives import Collectives


class Segments:
    """One quantity that is a sum over segments.

    Args:
        count: how many segments there are.
        ranks: the ranks that compute them, a block of them each.
        columns: how many numbers the quantity has.
    """

    def __init__(self, count: int, ranks: Collectives, columns: int):
        self._ranks, self._count = ranks, count
        per_rank = -(-count // ranks.size)
        first = min(ranks.rank * per_rank, count)
        self._mine = range(first, min(first + per_rank, count))
        self._table: Words = ranks.table(per_rank, columns)

    def sum(self, compute: Callable[[int, Floats], None]) -> Floats:
        """Return the sum of what compute(segment, out) writes for each segment; every rank calls it at the same time.

        Returns:
            float64, shape (columns,), added in the order of the segments; on the root, elsewhere void.
        """
        rows = self._table.view(np.float64)
        for row, segment in zip(rows, self._mine, strict=False):
            compute(segment, row)
        self._ranks.gather(self._table)
        total: Floats = np.zeros(rows.shape[1])
        # By segments, not by ranks: a reduction of MPI would round in an order that depends on the number of ranks.
        for row in rows[: self._count]:
            total += row
        return total
