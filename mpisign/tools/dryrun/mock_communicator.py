"""Pretend to be one of many ranks: what it would hold is allocated and counted, its messages go nowhere."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from typing_extensions import override

from mpisign.arrays import Words
from mpisign.comm.collectives import Collective
from mpisign.comm.communicator import Communicator, SerialCommunicator


class MockCommunicator(SerialCommunicator):
    """Rank number `rank` of `size`, all on one node.

    Attributes:
        in_common: Bytes that the node's ranks were given to share so far.
    """

    def __init__(self, rank: int, size: int):
        self.rank, self.size, self.largest, self.members = rank, size, size, range(size)
        self.in_common = 0

    @property
    @override
    def installed(self) -> float:
        return math.inf

    @override
    def alltoall_of(self, sent: Words, received: Words) -> Collective:
        return Collective()

    @override
    def allgather_of(self, own: Words, all_of_them: Words) -> Collective:
        return Collective()

    @property
    @override
    def leaders(self) -> Communicator | None:
        return self if self.root else None

    @override
    def memory(self, count: int, own: Sequence[slice]) -> tuple[Words, Callable[[], object]]:
        self.in_common += 8 * count
        return np.zeros(count, dtype=np.uint64), lambda: None
