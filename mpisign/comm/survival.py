"""What happens when a rank is lost or fails: MPI's ULFM extension lets the others go on, without it all of them end."""

import signal
import sys
import time
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mpisign.config.validation import advised, described
from mpisign.messages import say

if TYPE_CHECKING:
    from mpisign.comm.communicator import Communicator

_HEARD = 0.1
"""Seconds for the launcher to read what a failing rank says: MPICH's, told to abort, drops what it has not read."""

_OFF = ("0", "f", "false", "n", "no", "disabled")
"""What Open MPI reads as false."""

_IN_TURN = 10
"""Ranks that have a turn of their own to speak, when all have the same to say; the others share one."""


def say_why(rank: int, error: BaseException) -> None:
    """Say why a rank fails, in its turn, and leave the launcher the time to read it before all ranks are ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a launcher may pass on what the terminal has sent already
    sys.stdout.flush()
    line = f"rank {rank} failed, {described(error)}; ending all ranks"
    time.sleep(2 * _HEARD * min(rank, _IN_TURN))
    if isinstance(error, KeyboardInterrupt):
        line = "interrupted"
    elif not isinstance(error, OSError):  # a full disk is not a mistake of the program
        traceback.print_exception(error)
    say(f"{line}{advised(error)}")
    time.sleep(_HEARD)


def ulfm_enabled(variables: Mapping[str, str]) -> bool:
    """Return whether `mpirun --with-ft ulfm` of Open MPI started this process, by the variable that it sets."""
    return variables.get("OMPI_MCA_mpi_ft_enable") == "1"


def ulfm_missing(library: str, variables: Mapping[str, str]) -> str:
    """Return why ranks do not go on when one of them is lost; "" where they do.

    Args:
        library: what MPI calls itself.
        variables: the environment of a rank.
    """
    if not library.startswith("Open MPI"):
        return f"it needs Open MPI 5, which has ULFM; this is {library}"
    if not ulfm_enabled(variables):
        return "it needs ULFM: Open MPI 5, started with mpirun --with-ft ulfm"
    # Seen between two hosts whose link was down: each side took the other for lost, and went on with the same file.
    if variables.get("OMPI_MCA_mpi_ft_detector", "0").lower() not in _OFF:
        return "with mpi_ft_detector both sides of a broken link would go on, and write one file; leave it out"
    return ""


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
