"""Ranks that are not there: what one of many would hold is made and counted, its messages go nowhere."""

from collections.abc import Callable
from types import TracebackType

import numpy as np

from mpisign.arrays import Words
from mpisign.ranks import Collective, Ranks
from mpisign.settings import BadInput
from mpisign.sharing import Arrays, Opened, unshared


class Pretended(Ranks):
    """Rank number `rank` of `size`, all on one node.

    in_common: bytes that the node's ranks were given to share so far.
    """

    library, threads = "none (pretended)", "none"

    def __init__(self, rank: int, size: int):
        self.rank, self.size, self.largest, self.members = rank, size, size, range(size)
        self.in_common = 0

    def gather_of(self, table: Words) -> Collective:
        return Collective()

    def broadcast_of(self, row: Words) -> Collective:
        return Collective()

    def alltoall_of(self, sent: Words, received: Words) -> Collective:
        return Collective()

    def allgather_of(self, own: Words, all_of_them: Words) -> Collective:
        return Collective()

    def share(self, opening: Callable[[], Opened]) -> Arrays:
        return unshared(opening)

    @property
    def node(self) -> Ranks:
        return self

    @property
    def leaders(self) -> Ranks | None:
        return self if self.root else None

    def memory(self, count: int) -> tuple[Words, Callable[[], object]]:
        self.in_common += 8 * count
        return np.zeros(count, dtype=np.uint64), lambda: None

    def processes(self) -> list[int]:
        return [0] * self.size

    def hosts(self) -> list[str]:
        return [""] * self.size

    def agree(self, complaint: BadInput | None) -> None:
        if complaint is not None:
            raise complaint

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass
