"""The state that a trajectory file keeps of a repeat that has not ended: all that its next iteration needs."""

from collections.abc import Sequence
from typing import NamedTuple

from mpisign.arrays import Floats


class Counters(NamedTuple):
    """What a trajectory counts.

    Attributes:
        records: the records that are written.
        bits_up: bits of the messages of all workers together.
        bits_down: bits of the replies to all workers together.
        seconds: on the recorder's clock.
    """

    records: int = 0
    bits_up: int = 0
    bits_down: int = 0
    seconds: float = 0.0


class Checkpoint(NamedTuple):
    """A state as a file keeps it.

    Attributes:
        k: the iteration that comes next.
        counters: the counters before it.
        workers: the numbers of the M workers.
        x: float64, shape (d,).
        memory: what the method remembers of each worker: a row for each of `workers`, shape (M, size of one).
        shared: what it remembers besides.
    """

    k: int
    counters: Counters
    workers: Sequence[int]
    x: Floats
    memory: Floats
    shared: Floats
