"""What the loop asks of a recorder, and a recorder of where its records go."""

from typing import Protocol

import numpy as np

from mpisign.aggregation.messages import Message
from mpisign.arrays import Floats
from mpisign.engine.state import State
from mpisign.storage.checkpoint import Checkpoint


class Sink(Protocol):
    """Where blocks of records go: a repeat's group in a trajectory file."""

    def append(self, block: dict[str, np.ndarray]) -> None:
        """Add records: arrays of the same length, by column."""

    def save(self, kept: Checkpoint) -> None:
        """Replace the state from which the repeat can go on."""


class Recording(Protocol):
    """What the loop asks of a recorder.

    Attributes:
        due: the next k to record, or -1.
        ended: the rule by which the repeat has ended before K, or "".
        stopped_by: the signal that has ended an evaluation before its end, or 0.
    """

    due: int
    ended: str
    stopped_by: int

    def start(self) -> None:
        """Start the clock."""

    def record(self, k: int, x: Floats, alpha: float, reply: Message) -> bool:
        """Keep x_k and what was known at k; return whether the repeat ends there."""

    def stop(self, k: int, x: Floats) -> int | None:
        """Record the last iterate; return k if it is not finite or lies before K."""

    def obey(self, state: State) -> None:
        """Save the state and raise StopRequested where a signal has ended an evaluation; every rank calls it."""

    def save(self, state: State) -> None:
        """Write what has been kept, and the state after it; raise StopRequested where a signal ends an evaluation."""

    def last(self, state: State) -> Checkpoint | None:
        """Return the state after iteration K - 1, from which a longer run goes on; every rank calls it."""


class NullRecorder:
    """A recorder that records nothing: what is left is the iteration alone."""

    due = -1
    ended = ""
    stopped_by = 0

    def start(self) -> None:
        """Do nothing."""

    def record(self, k: int, x: Floats, alpha: float, reply: Message) -> bool:
        """Return False."""
        return False

    def stop(self, k: int, x: Floats) -> int | None:
        """Return k."""
        return k

    def obey(self, state: State) -> None:
        """Do nothing."""

    def save(self, state: State) -> None:
        """Do nothing."""

    def last(self, state: State) -> None:
        """Return None."""
