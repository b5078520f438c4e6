"""Collective calls: what every rank does at the same time, in one process or over MPI.

A table is a uint64 matrix of message rows: a rank's own rows, and on the root every rank's, in the order of the ranks.
"""

import platform
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np

from mpisign.arrays import Indices, Words
from mpisign.config.validation import InputError

T = TypeVar("T")


def do_nothing() -> None:
    """Do nothing."""
    pass


class Agreed(Exception):
    """A complaint of another rank, raised inside `Collectives.raise_collectively` on a rank that has none of its own.

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
        calls: the same as calls of C functions, for compiled code (`mpisign.compiled.native`); None where it is none.
    """

    run: Callable[[], object] = do_nothing
    free: Callable[[], object] = do_nothing
    calls: Indices | None = None


class Collectives(ABC):
    """What ranks do together; rank 0 is the root.

    Attributes:
        rank: the number of this process.
        size: how many ranks there are.
    """

    rank: int
    size: int

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

        Args:
            sent: shape (n, ...): for the first n ranks, n <= size.
            received: shape (size, ...); on the other ranks (0, ...).
        """

    @abstractmethod
    def allgather_of(self, own: Words, all_of_them: Words) -> Collective:
        """Return the collective that brings what the first n ranks have to all ranks, in order.

        Args:
            own: what this one has; without elements on the ranks from n on.
            all_of_them: shape (n, *own.shape), n <= size.
        """

    @abstractmethod
    def send(self, words: Words, rank: int) -> None:
        """Send the words to another rank, which receives them from this one."""

    @abstractmethod
    def receive(self, words: Words, rank: int) -> None:
        """Overwrite `words` with those that another rank sends to this one."""

    @abstractmethod
    def texts(self, own: str) -> list[str]:
        """Return the text that each rank gives, in their order; every rank calls it."""

    def hosts(self) -> list[str]:
        """Return the machine of each rank, in their order; every rank calls it."""
        return self.texts(platform.node())

    @abstractmethod
    def sync_errors(self, complaint: InputError | None) -> None:
        """Raise on every rank the first complaint that any rank has; return if none has one. Every rank calls it."""
