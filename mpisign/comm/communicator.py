"""The ranks and their collectives, as everything above sees them: one process here, MPI in `mpisign.comm.mpi`.

Both give the same calls, so that nothing above knows which it has. A table is a uint64 matrix of message
rows: a rank's own rows, and on the root every rank's, in the order of the ranks.
"""

import os
import platform
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

import numpy as np

from mpisign.arrays import Words
from mpisign.comm.shared_arrays import Arrays, Opened, unshared
from mpisign.config.validation import InputError

T = TypeVar("T")


def _nothing() -> None:
    pass


class Agreed(Exception):
    """A complaint of another rank, raised inside `Communicator.raise_collectively` on a rank that has none of its own.

    No InputError: it is not about what is done there, and it has been agreed on.
    """

    def __init__(self, complaint: InputError):
        super().__init__(str(complaint))
        self.complaint = complaint


class Collective(NamedTuple):
    """A collective call whose buffers stay where they are: every rank runs it, at the same time, and frees it."""

    run: Callable[[], object] = _nothing
    free: Callable[[], object] = _nothing


class Communicator(ABC):
    """Who takes part: `size` ranks, of which this process is number `rank`; rank 0 is the root.

    library: MPI's name. threads: the level it was started at. members: the ranks of this one's node, its leader first.
    largest: the size of the largest node.
    """

    rank: int
    size: int
    library: str
    threads: str
    members: Sequence[int]
    largest: int

    @property
    def root(self) -> bool:
        return self.rank == 0

    def table(self, rows: int, columns: int) -> Words:
        """Room for `rows` message rows of this rank; on the root for those of all ranks."""
        return np.zeros((rows * (self.size if self.root else 1), columns), dtype=np.uint64)

    def gather(self, table: Words) -> None:
        """Fill the root's table with every rank's rows, once; the root's own are its first."""
        self._once(self.gather_of(table))

    def broadcast(self, row: Words) -> None:
        """Overwrite `row` on every rank with the root's, once."""
        self._once(self.broadcast_of(row))

    def raise_collectively(self, step: Callable[[], T]) -> T:
        """What step() gives on each rank; raises on every rank the first InputError that it raises on any."""
        complaint = None
        try:
            result = step()
        except Agreed as agreed:
            raise agreed.complaint from None
        except InputError as error:
            complaint = error
        self.sync_errors(complaint)
        return result

    def broadcast_bool(self, answer: bool) -> bool:
        """The root's answer, on every rank; every rank calls it."""
        row = np.array([answer], dtype=np.uint64)
        self.broadcast(row)
        return bool(row[0])

    def _once(self, collective: Collective) -> None:
        collective.run()
        collective.free()

    @abstractmethod
    def gather_of(self, table: Words) -> Collective:
        """Fills the root's table with every rank's rows; the root's own are its first."""

    @abstractmethod
    def broadcast_of(self, row: Words) -> Collective:
        """Overwrites `row` on every rank with the root's."""

    @abstractmethod
    def alltoall_of(self, sent: Words, received: Words) -> Collective:
        """Brings sent[r] of every rank to rank r, in the order of the ranks; both have shape (size, ...)."""

    @abstractmethod
    def allgather_of(self, own: Words, all_of_them: Words) -> Collective:
        """Brings every rank's `own` to all ranks, in their order: shape (size, *own.shape)."""

    @abstractmethod
    def share(self, opening: Callable[[], Opened]) -> Arrays:
        """Arrays that a machine holds once; see `mpisign.comm.shared_arrays.Share`."""

    @property
    @abstractmethod
    def node(self) -> "Communicator":
        """The ranks that share this one's memory."""

    @property
    @abstractmethod
    def leaders(self) -> "Communicator | None":
        """The first ranks of all nodes; None on the other ranks."""

    @abstractmethod
    def memory(self, count: int) -> tuple[Words, Callable[[], object]]:
        """`count` words, at first 0, that a node's ranks share; and what gives them back. Every rank calls both."""

    @abstractmethod
    def processes(self) -> list[int]:
        """The process of each of `members`; every rank calls it."""

    @abstractmethod
    def texts(self, own: str) -> list[str]:
        """Return the text that each rank gives, in their order; every rank calls it."""

    def hosts(self) -> list[str]:
        """The machine of each rank, in their order; every rank calls it."""
        return self.texts(platform.node())

    @abstractmethod
    def sync_errors(self, complaint: InputError | None) -> None:
        """Raise on every rank the first complaint that any rank has; return when none has one."""

    @property
    def whole(self) -> bool:
        """Whether none was lost."""
        return True

    def cannot_survive(self) -> str:
        """Why these ranks cannot go on when one of them is lost; "" where they can."""
        return "there is one process"

    def lost(self, error: Exception) -> bool:
        """Whether this error says that a rank was lost."""
        return False

    def survivors(self) -> "tuple[Communicator, list[int]]":
        """The ranks that are left, to be used from now on, and which of these they were; each of them calls it."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave together: nobody waits for a rank that failed."""


class SerialCommunicator(Communicator):
    """One process, which is server and all workers. mpi4py is not imported."""

    rank, size, library, threads = 0, 1, "none (one process)", "none"

    def gather_of(self, table: Words) -> Collective:
        return Collective()

    def broadcast_of(self, row: Words) -> Collective:
        return Collective()

    def alltoall_of(self, sent: Words, received: Words) -> Collective:
        return Collective(lambda: np.copyto(received, sent))

    def allgather_of(self, own: Words, all_of_them: Words) -> Collective:
        return Collective(lambda: np.copyto(all_of_them, own))

    def share(self, opening: Callable[[], Opened]) -> Arrays:
        return unshared(opening)

    @property
    def node(self) -> Communicator:
        return self

    @property
    def leaders(self) -> Communicator | None:
        return self

    members: Sequence[int] = (0,)
    largest = 1

    def memory(self, count: int) -> tuple[Words, Callable[[], object]]:
        return np.zeros(count, dtype=np.uint64), _nothing

    def processes(self) -> list[int]:
        return [os.getpid()]

    def texts(self, own: str) -> list[str]:
        return [own]

    def sync_errors(self, complaint: InputError | None) -> None:
        if complaint is not None:
            raise complaint

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass
