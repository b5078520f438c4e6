"""Write from a process that does not have the trajectory file: what there is to write is sent to the one that has."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from mpisign.arrays import Indices
from mpisign.storage.checkpoint import Checkpoint, End

_SECONDS = 2.0
"""Seconds between two states that are sent, at least, as between two commits of the file."""
_SHARE = 0.02
"""Share of the time that sending states may take; a process that is busy writing makes it wait."""
_MOST_TAKEN = 2**23
"""Bytes of records that may wait to be sent."""


class Task(NamedTuple):
    """A repeat to be run.

    Attributes:
        run: the place of its run in the job.
        number: the repeat's.
    """

    run: int
    number: int


Send: TypeAlias = Callable[[str, tuple[Any, ...]], object]
"""A function send(name, arguments): the process with the file calls the method of that name with them."""


class RemoteRepeat:
    """One repeat's records and states, sent in their order; see `mpisign.storage.writer.RepeatWriter`."""

    def __init__(self, send: Send):
        self._send = send
        self._blocks: list[dict[str, np.ndarray]] = []
        self._taken = 0

    def append(self, block: dict[str, np.ndarray]) -> None:
        """Take a block of records; send it with the others since the last sending, when they are many."""
        self._blocks.append(block)
        self._taken += sum(values.nbytes for values in block.values())
        if self._taken > _MOST_TAKEN:
            self._flush()

    def _flush(self) -> None:
        """Send what was taken."""
        for block in self._blocks:
            self._send("append", (block,))
        self._blocks.clear()
        self._taken = 0

    def save(self, kept: Checkpoint) -> None:
        """Send the state from which the repeat can go on, whole: a commit must not come between two parts of it."""
        self._flush()
        self._send("keep", (kept.whole(),))

    def shrunk(self, k: int, workers: int) -> None:
        """Send that so many workers are left from iteration k on."""
        self._send("shrunk", (k, workers))

    def finish(self, end: End) -> None:
        """Send how the repeat has ended, with its state whole."""
        self._flush()
        self._send("finish", (end._replace(last=end.last and end.last.whole()),))


class RemoteWriter:
    """The file as a process sees it that runs one repeat after the other and does not have it.

    Args:
        send: sends what is to be written of the current repeat.
    """

    def __init__(self, send: Send):
        self._send = send
        self._given: Checkpoint | None = None
        self._sent, self._cost = time.monotonic(), 0.0

    def begin(self, kept: Checkpoint | None) -> None:
        """Take the state in which the next repeat was saved, which the process with the file has given."""
        self._given = kept

    def kept(self, label: str, number: int) -> Checkpoint | None:
        """Return the state in which the current repeat was saved, or None."""
        return self._given

    def repeat(self, label: str, number: int, ks: Indices, dimension: int, iterates: bool) -> RemoteRepeat:
        """Return what takes the records of the current repeat; the process with the file has made its group."""
        return RemoteRepeat(self._timed)

    def _timed(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Send, and note when and for how long a state was."""
        began = time.monotonic()
        self._send(name, arguments)
        if name == "keep":
            self._sent = time.monotonic()
            self._cost = self._sent - began

    def commit_due(self) -> bool:
        """Return whether the next state is due."""
        return time.monotonic() - self._sent > max(_SECONDS, self._cost / _SHARE)
