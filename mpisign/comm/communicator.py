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
    """Do nothing."""
    pass


class Agreed(Exception):
    """A complaint of another rank, raised inside `Communicator.raise_collectively` on a rank that has none of its own.

    No InputError: it is not about what is done there, and it has been agreed on.

    Attributes:
        complaint: the other rank's InputError.
    """

    def __init__(self, complaint: InputError):
        super().__init__(str(complaint))
        self.complaint = complaint


class Collective(NamedTuple):
    """A collective call whose buffers stay where they are: every rank runs it, at the same time, and frees it.

    Attributes:
        run: carries it out; may be called any number of times.
        free: gives back what MPI holds for it.
    """

    run: Callable[[], object] = _nothing
    free: Callable[[], object] = _nothing


class Communicator(ABC):
    """The ranks that take part; rank 0 is the root.

    Attributes:
        rank: the number of this process.
        size: how many ranks there are.
        library: MPI's name.
        threads: the thread level it was started at.
        members: the ranks of this one's node, its leader first.
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
        """Return whether this is rank 0."""
        return self.rank == 0

    def table(self, rows: int, columns: int) -> Words:
        """Return room for `rows` message rows of this rank; on the root for those of all ranks, size times as many."""
        return np.zeros((rows * (self.size if self.root else 1), columns), dtype=np.uint64)

    def gather(self, table: Words) -> None:
        """Fill the root's table with every rank's rows, once; the root's own are its first."""
        self._once(self.gather_of(table))

    def broadcast(self, row: Words) -> None:
        """Overwrite `row` on every rank with the root's, once."""
        self._once(self.broadcast_of(row))

    def raise_collectively(self, step: Callable[[], T]) -> T:
        """Return what step() gives on each rank; every rank calls it.

        Raises:
            InputError: step() raised one on any rank; every rank raises the first.
        """
        complaint = None
        try:
            result = step()
        # All ranks have met inside step() already: meeting again would wait for those that have left.
        except Agreed as agreed:
            raise agreed.complaint from None
        except InputError as error:
            complaint = error
        self.sync_errors(complaint)
        return result

    def broadcast_bool(self, answer: bool) -> bool:
        """Return the root's answer, on every rank; every rank calls it."""
        row = np.array([answer], dtype=np.uint64)
        self.broadcast(row)
        return bool(row[0])

    def _once(self, collective: Collective) -> None:
        """Run and free the collective."""
        collective.run()
        collective.free()

    @abstractmethod
    def gather_of(self, table: Words) -> Collective:
        """Return the collective that fills the root's table with every rank's rows; the root's own are its first."""

    @abstractmethod
    def broadcast_of(self, row: Words) -> Collective:
        """Return the collective that overwrites `row` on every rank with the root's."""

    @abstractmethod
    def alltoall_of(self, sent: Words, received: Words) -> Collective:
        """Return the collective that brings sent[r] of every rank to rank r, in the order of the ranks.

        Both arrays have shape (size, ...).
        """

    @abstractmethod
    def allgather_of(self, own: Words, all_of_them: Words) -> Collective:
        """Return the collective that brings every rank's `own` to all ranks, in order: shape (size, *own.shape)."""

    @abstractmethod
    def share(self, opening: Callable[[], Opened]) -> Arrays:
        """Return arrays that a machine holds once; see `mpisign.comm.shared_arrays.Share`."""

    @property
    @abstractmethod
    def node(self) -> "Communicator":
        """Return the ranks that share this one's memory."""

    @property
    @abstractmethod
    def leaders(self) -> "Communicator | None":
        """Return the first ranks of all nodes; None on the other ranks."""

    @abstractmethod
    def memory(self, count: int) -> tuple[Words, Callable[[], object]]:
        """Return memory that a node's ranks share; every rank calls it, and what gives it back.

        Returns:
            `count` words, at first 0, and the function that gives them back.
        """

    @abstractmethod
    def processes(self) -> list[int]:
        """Return the process id of each of `members`; every rank calls it."""

    @abstractmethod
    def texts(self, own: str) -> list[str]:
        """Return the text that each rank gives, in their order; every rank calls it."""

    def hosts(self) -> list[str]:
        """Return the machine of each rank, in their order; every rank calls it."""
        return self.texts(platform.node())

    @abstractmethod
    def sync_errors(self, complaint: InputError | None) -> None:
        """Raise on every rank the first complaint that any rank has; return if none has one. Every rank calls it."""

    @property
    def whole(self) -> bool:
        """Return whether no rank was lost."""
        return True

    def cannot_survive(self) -> str:
        """Return why these ranks cannot go on when one of them is lost; "" where they can."""
        return "there is one process"

    def lost(self, error: Exception) -> bool:
        """Return whether this error says that a rank was lost."""
        return False

    def survivors(self) -> "tuple[Communicator, list[int]]":
        """Return the ranks that are left, to be used from now on, and which of these they were; each of them calls."""
        raise NotImplementedError

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
