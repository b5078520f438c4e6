"""Memory that the ranks of one machine share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mpisign.arrays import Words
from mpisign.comm.shared_arrays import Arrays, Opened, installed

if TYPE_CHECKING:
    from mpisign.comm.communicator import Communicator


class Nodes(ABC):
    """Which ranks share a machine's memory, and that memory.

    Attributes:
        members: the ranks of this one's node, its leader first.
        largest: the size of the largest node.
        cores: how many cores the ranks of this one's node may use together: each may be bound to one of its own.
    """

    members: Sequence[int]
    largest: int
    cores: int

    @property
    def installed(self) -> float:
        """Return the bytes of this machine's memory, or of those that its batch system or container allows."""
        return installed()

    @property
    def cores_each(self) -> int:
        """Return how many cores each rank of the node has for itself, at least 1; every rank asks, the first time."""
        return max(1, self.cores // len(self.members))

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
    def memory(self, count: int, own: Sequence[slice]) -> tuple[Words, Callable[[], object]]:
        """Return memory that a node's ranks share; every rank calls it, and what gives it back.

        Args:
            count: how many words.
            own: those that this rank touches first, so that they lie in memory that is near to it; all ranks' together
                are all words.

        Returns:
            `count` words, at first 0, and the function that gives them back.
        """

    @abstractmethod
    def processes(self) -> list[int]:
        """Return the process id of each of `members`; every rank calls it."""
