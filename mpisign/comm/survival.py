"""What happens when a rank is lost or fails: MPI's ULFM extension lets the others go on, without it all of them end."""

import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING

from mpisign.config.validation import advised, described
from mpisign.messages import say

if TYPE_CHECKING:
    from mpisign.comm.communicator import Communicator

_HEARD = 0.1
"""Seconds for the launcher to read what a failing rank says: MPICH's, told to abort, drops what it has not read."""

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
