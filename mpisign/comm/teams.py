"""MPI's ranks in groups of the same size, each with a root of its own, and messages between any rank and rank 0."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from typing_extensions import override

from mpisign.comm.communicator import Communicator
from mpisign.comm.mpi import MPICommunicator
from mpisign.comm.shared_arrays import Arrays, Opened
from mpisign.config.validation import InputError

_APART = 0.01
"""Seconds between two looks of a rank that waits."""
_ON_THEIR_WAY = 16
"""Messages of a rank that may be on their way; with more of them it waits for the first."""


def split(ranks: Communicator, count: int, key: str = "teams") -> "Team":
    """Return this rank's team of `count`, each of ranks that follow each other; every rank calls it.

    Args:
        ranks: all ranks.
        count: how many teams.
        key: what it is called, for the complaint.

    Raises:
        InputError: there are not that many teams of the same size, at least 2.
    """
    if ranks.size % count or 2 * count > ranks.size or not isinstance(ranks, MPICommunicator):
        what = "expected teams of the same size, each of at least a server and a worker"
        raise InputError(key, f"{what}, got {count} of {ranks.size} rank{'s' * (ranks.size > 1)}")
    return Team(ranks, count)


class Team(MPICommunicator):
    """The ranks of one group.

    Args:
        world: all ranks.
        count: how many teams there are.

    Attributes:
        world: all ranks.
        count: how many teams there are.
        number: this one's.
    """

    def __init__(self, world: MPICommunicator, count: int):
        self.world, self.count, self.number = world, count, world.rank * count // world.size
        super().__init__(self._mpi_split(world))
        self._windows = world._windows  # which frees them, at the end
        self._cores_each = world.cores_each  # now, as all teams are here

    def _mpi_split(self, world: MPICommunicator) -> Any:
        """Return MPI's communicator of this team; every rank of the world calls it."""
        return world._communicator.Split(self.number, world.rank)

    def leader(self, number: int) -> int:
        """Return which of all ranks is the root of a team."""
        return number * self.size

    @property
    @override
    def cores_each(self) -> int:
        """Return how many cores each rank has for itself: those of other teams on the node count, too."""
        return self._cores_each

    @override
    def _fits(self, count: int) -> bool:
        """Return whether each node has room for so many words of every team, which may ask at the same time."""
        return super()._fits(self.count * count)

    @override
    def share(self, opening: Callable[[], Opened]) -> Arrays:
        """Return arrays that a machine holds once, whatever the number of teams; every rank of all teams calls it."""
        return self.world.share(opening)


class Posts:
    """Messages that do not wait for their receiver, from any rank to rank 0 and back; every rank makes one.

    Args:
        world: all ranks.
    """

    def __init__(self, world: MPICommunicator):
        self._communicator = world._communicator.Dup()  # so that nothing else is taken for one of them
        self._status, self._on_their_way = world._mpi.Status(), []  # type: ignore[var-annotated]

    def send(self, rank: int, message: object) -> None:
        """Send a message, any that can be pickled."""
        self._on_their_way.append(self._communicator.isend(message, rank))
        self._on_their_way = [request for request in self._on_their_way if not request.test()[0]]
        if len(self._on_their_way) > _ON_THEIR_WAY:
            self._on_their_way.pop(0).wait()

    def received(self) -> Iterator[tuple[int, Any]]:
        """Yield the messages that are there, each with the rank that sent it."""
        while self._communicator.iprobe(status=self._status):
            sender = self._status.Get_source()
            yield sender, self._communicator.recv(source=sender)

    def wait(self) -> Any:
        """Return the next message, when it comes."""
        return self._communicator.recv()

    def meet(self, meanwhile: Callable[[], object]) -> None:
        """Wait until every rank has come here, without keeping a core busy; call `meanwhile` now and then."""
        request = self._communicator.Ibarrier()
        while not request.Test():
            meanwhile()
            time.sleep(_APART)
        for one in self._on_their_way:
            one.wait()
