"""Going on without a rank that was lost; what a launcher and MPI's ULFM extension make possible."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mpisign.comm.communicator import Communicator


class Survival:
    """Whether ranks were lost, and who is left; by default none can be lost without the others."""

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
