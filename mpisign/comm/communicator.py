"""The ranks as everything above sees them: one process here, MPI in `mpisign.comm.mpi`.

Both give the same calls, so that nothing above knows which it has.
"""

import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import numpy as np
from typing_extensions import override

from mpisign.arrays import Words
from mpisign.comm.collectives import Collective, Collectives, do_nothing
from mpisign.comm.launcher import cores
from mpisign.comm.nodes import Nodes
from mpisign.comm.shared_arrays import Arrays, Lent, Opened, borrow, lend, unshared
from mpisign.comm.survival import Survival
from mpisign.compiled.native import NO_CALLS
from mpisign.config.validation import InputError


class Communicator(Collectives, Nodes, Survival):
    """The ranks that take part; rank 0 is the root.

    Attributes:
        library: MPI's name.
        threads: the thread level it was started at.
        lent: data that processes which this one starts can map.
    """

    library: str
    threads: str
    lent: Sequence[Lent] = ()

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave together: nobody waits for a rank that failed."""


class SerialCommunicator(Communicator):
    """The communicator of one process, which is server and all workers. mpi4py is not imported."""

    rank, size, library, threads = 0, 1, "none (one process)", "none"

    @override
    def gather_of(self, table: Words) -> Collective:
        return Collective(calls=NO_CALLS)

    @override
    def broadcast_of(self, row: Words) -> Collective:
        return Collective(calls=NO_CALLS)

    @override
    def alltoall_of(self, sent: Words, received: Words) -> Collective:
        return Collective(lambda: np.copyto(received, sent))

    @override
    def allgather_of(self, own: Words, all_of_them: Words) -> Collective:
        return Collective(lambda: np.copyto(all_of_them, own))

    @override
    def send(self, words: Words, rank: int) -> None:
        pass

    @override
    def receive(self, words: Words, rank: int) -> None:
        pass

    @override
    def share(self, opening: Callable[[], Opened]) -> Arrays:
        return unshared(opening)

    @property
    @override
    def node(self) -> Communicator:
        return self

    @property
    @override
    def leaders(self) -> Communicator | None:
        return self

    members: Sequence[int] = (0,)
    largest = 1

    @property
    @override
    def cores(self) -> int:  # type: ignore[override]
        return cores()

    @override
    def memory(self, count: int, own: Sequence[slice]) -> tuple[Words, Callable[[], object]]:
        return np.zeros(count, dtype=np.uint64), do_nothing

    @override
    def processes(self) -> list[int]:
        return [os.getpid()]

    @override
    def texts(self, own: str) -> list[str]:
        return [own]

    @override
    def sync_errors(self, complaint: InputError | None) -> None:
        if complaint is not None:
            raise complaint

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class LendingCommunicator(SerialCommunicator):
    """One process that starts others of its machine, and has its data where they can map them."""

    def __init__(self) -> None:
        self.lent: list[Lent] = []

    @override
    def share(self, opening: Callable[[], Opened]) -> Arrays:
        arrays, lent = lend(opening)
        self.lent.append(lent)
        return arrays

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lent in self.lent:
            os.close(lent.descriptor)


class BorrowingCommunicator(SerialCommunicator):
    """One of the processes that such a one has started, with its data.

    Args:
        lent: what the other one has shared, in its order.
    """

    def __init__(self, lent: Sequence[Lent]):
        self._lent = iter(lent)

    @override
    def share(self, opening: Callable[[], Opened]) -> Arrays:
        lent = next(self._lent, None)
        return unshared(opening) if lent is None else borrow(lent)
