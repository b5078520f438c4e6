"""Cut rows into slices of whole cache lines, and bring together the parts of the reply to them."""

import math

import numpy as np

from mpisign.aggregation.compiled_travel import LINE
from mpisign.arrays import Words
from mpisign.comm.communicator import Communicator


def slices(words: int, ranks: int) -> tuple[int, int]:
    """Return how many words a slice has, whole cache lines, and how many ranks have one; the others have none.

    A slice has a number of 8 bytes in front of each row, which of one thinner than a line would be a large part.
    """
    width = LINE * -(-words // (LINE * ranks))
    return width, -(-words // width)


def receivers(count: int, ranks: int) -> int:
    """Return to how many ranks each one sends where `count` have a slice: to these, or to all.

    Few get a message from each; more are reached sooner by the stages of an Alltoall, log2(ranks) of them, in which
    what the others get is empty.
    """
    return count if count <= math.log2(ranks) else ranks


def by_slice(rows: Words, width: int) -> tuple[Words, Words]:
    """Return views of rows, shape (n, W): of their whole slices, shape (slices, n, width), and of what is left."""
    whole = rows.shape[1] // width
    return rows[:, : whole * width].reshape(len(rows), whole, width).swapaxes(0, 1), rows[:, whole * width :]


class ReplyParts:
    """The parts of a reply, of each rank that has a slice, for all ranks: one Allgather.

    Args:
        ranks: the ranks; every one makes this.
        count: how many of them have a slice.
        header: words in front of each part, and of the reply.
        width: words of a part behind them.

    Attributes:
        own: this rank's part, header and words.
    """

    def __init__(self, ranks: Communicator, count: int, header: int, width: int):
        self._header = header
        self._parts = np.zeros((count, header + width + 1), dtype=np.uint64)
        self._own = np.zeros_like(self._parts[0])
        self.own = self._own[:-1]
        self._allgather = ranks.allgather_of(self._own[: len(self._own) * (ranks.rank < count)], self._parts)
        self.free = self._allgather.free

    def assemble(self, reply: Words, ties: int) -> int:
        """Write the whole reply; return the sum of all ranks' ties.

        The parts' headers differ in their flags at most; a flag of one is a flag of the reply. The last part may be
        longer than what is left of the reply.
        """
        header, width = self._header, self._parts.shape[1] - self._header - 1
        self._own[-1] = ties
        self._allgather.run()
        np.bitwise_or.reduce(self._parts[:, :header], axis=0, out=reply[:header])
        whole, rest = by_slice(reply[None, header:], width)
        whole[:, 0] = self._parts[: len(whole), header:-1]
        if rest.size:
            rest[:] = self._parts[len(whole) :, header : header + rest.shape[1]]
        return int(self._parts[:, -1].sum())
