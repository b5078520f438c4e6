"""What a trajectory file keeps of a repeat that has not ended: all that its next iteration needs."""

from collections.abc import Sequence
from typing import NamedTuple

from mpisign.arrays import Floats


class Counters(NamedTuple):
    """What a trajectory counts: its records, bits of messages, seconds of the recorder's clock."""

    records: int = 0
    bits_up: int = 0
    bits_down: int = 0
    seconds: float = 0.0


class Checkpoint(NamedTuple):
    """A state as a file keeps it: `memory` has a row for each of `workers`, shape (M, size of one)."""

    k: int
    counters: Counters
    workers: Sequence[int]
    x: Floats
    memory: Floats
    shared: Floats
