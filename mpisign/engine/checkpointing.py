"""Where the ranks pause between two iterations: to save a state, or because a signal or a time limit asks them to end.

They agree on it a tenth of a second apart by the root's clock, so that all of them stop before the same k.
"""

import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

import numpy as np

from mpisign.arrays import Words
from mpisign.comm.collectives import Collectives
from mpisign.stop_signals import NO_SIGNALS, StopRequested, StopSignals

_APART = 0.1
"""About how many seconds lie between two agreements."""
_SAVES = 3
"""Saves for which there must be time left in a job of SLURM, which kills what is not over at its end."""


def time_left() -> float:
    """Return the seconds until SLURM ends this job, as its batch script knows them; infinity elsewhere."""
    with suppress(ValueError, KeyError):
        return float(os.environ["SLURM_JOB_END_TIME"]) - time.time()
    return math.inf


class Checkpoints:
    """The pauses of a whole job; every rank has one.

    Args:
        ranks: the ranks that agree.
        signals: the signals that ask for an end.
        count: called with k after every stride.
        due: whether it is time to save a state; asked on the root alone.
        longest_save: how many seconds a save has taken; asked on the root alone.
    """

    def __init__(
        self,
        ranks: Collectives,
        signals: StopSignals = NO_SIGNALS,
        count: Callable[[int], object] = lambda k: None,
        due: Callable[[], bool] = lambda: False,
        longest_save: Callable[[], float] = lambda: 0.0,
    ):
        self._ranks, self._signals, self._count, self._due = ranks, signals, count, due
        self._longest_save = longest_save
        self._own: Words = np.zeros(3, dtype=np.uint64)
        self._all: Words = np.zeros((ranks.size, 3), dtype=np.uint64)
        self._meet = ranks.allgather_of(self._own, self._all)

    def over(self, first: int, iterations: int, save: Callable[[int], None]) -> Iterator[range]:
        """Yield first, ..., iterations - 1 in spans, and call `save(k)` before iteration k where the ranks agree to.

        The stride to the next agreement at most doubles, so that the clock is looked at seldom, however short or long
        an iteration is.

        Raises:
            StopRequested: a rank was sent a signal, or time is nearly up; the state has been saved.
        """
        k, stride, looked = first, 1, time.monotonic()
        if iterations - first == 1 and (asked := self._agreed(stride, 0.0)[0]):  # there is no time between two of them
            save(first)
            raise StopRequested(asked)
        while k < iterations:
            yield range(k, min(k + stride, iterations))
            k = min(k + stride, iterations)
            self._count(k)
            if k < iterations:
                asked, due, stride = self._agreed(stride, time.monotonic() - looked)
                if asked or due:
                    save(k)
                if asked:
                    raise StopRequested(asked)
                looked = time.monotonic()

    def asked(self) -> int:
        """Return the signal by which any rank is asked to stop, SIGUSR1 where time is nearly up, or 0.

        Every rank calls it, at any time between two iterations or inside of one.
        """
        return self._agreed(1, 0.0)[0]

    def _agreed(self, stride: int, seconds: float) -> tuple[int, int, int]:
        """Return what all ranks agree on after `stride` iterations, which took so many `seconds`.

        Returns:
            A signal that a rank was sent, SIGUSR1 where time is nearly up, or 0; whether saving is due; the next
            stride. The same on every rank.
        """
        faster = min(_APART / max(seconds, 1e-9), 2.0)
        # Every rank proposes a stride, but only the root's row is read: clocks differ, and a stride has to be common.
        asked = self._signals.number or (signal.SIGUSR1 if self._late(seconds) else 0)
        self._own[:] = asked, self._ranks.root and self._due(), max(1, int(stride * faster))
        self._meet.run()
        # A signal may reach one rank alone; the largest number stops them all.
        return int(self._all[:, 0].max()), int(self._all[0, 1]), int(self._all[0, 2])

    def _late(self, seconds: float) -> bool:
        """Return on the root whether little more time is left than saves take, and iterations of so many `seconds`.

        A signal comes at a fixed time before the end, and a save of many workers' memories may take longer than that.
        """
        if not self._ranks.root:
            return False
        longest = self._longest_save()
        return longest > 0 and time_left() < _SAVES * longest + seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, StopRequested):  # else other ranks may not come here
            self._meet.free()
