"""When the ranks stop for a moment between two iterations: to save a state, or because a signal asks them to end.

They agree on it a tenth of a second apart by the root's clock, so that all of them stop before the same k.
"""

import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Self

import numpy as np

from mpisign.arrays import Words
from mpisign.comm.communicator import Ranks

STOPPED = 75
"""The exit status of a run that was asked to stop: EX_TEMPFAIL of sysexits.h, try again."""

_APART = 0.1
"""Seconds between two agreements, about."""

_ASKING = (signal.SIGTERM, signal.SIGUSR1)


class Stopped(SystemExit):
    """All ranks were asked to stop, and have, at the same k; what they have is in the file.

    then: what goes on with it.
    """

    def __init__(self, number: int, then: str = "--resume goes on from here"):
        super().__init__(STOPPED)
        self.signal, self.then = signal.Signals(number).name, then

    def __str__(self) -> str:
        return f"stopped by {self.signal}; {self.then}"


class StopSignals:
    """SIGTERM and SIGUSR1, while this context lasts; number: the first that came, or 0.

    outlast: what comes after the run changes nothing, too, as the process ends by itself then; unless another run
    follows, without the ranks that are lost, which takes it over.
    """

    number, outlast = 0, False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in _ASKING}
        earlier = (getattr(handler, "__self__", None) for handler in self._before.values())
        self.number = max((signals.number for signals in earlier if isinstance(signals, StopSignals)), default=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items() if not self.outlast else ():
            signal.signal(number, handler)


NO_SIGNALS = StopSignals()
"""Of which none comes."""


class Asked:
    """Whether any rank had a signal, before the first iteration: every rank calls `stop` at the same time."""

    def __init__(self, ranks: Ranks, signals: StopSignals):
        self._ranks, self._signals = ranks, signals

    def stop(self) -> None:
        """Raise Stopped on every rank where one of them was asked to stop."""
        own, numbers = np.array([self._signals.number], np.uint64), np.zeros((self._ranks.size, 1), np.uint64)
        meet = self._ranks.allgather_of(own, numbers)
        meet.run()
        meet.free()
        if numbers.any():
            raise Stopped(int(numbers.max()), "no iteration was run yet; the same command starts again")


class Checkpoints:
    """One for a whole job, on every rank.

    count: told k now and then. due: whether it is time to save a state; asked on the root.
    """

    def __init__(
        self,
        ranks: Ranks,
        signals: StopSignals = NO_SIGNALS,
        count: Callable[[int], object] = lambda k: None,
        due: Callable[[], bool] = lambda: False,
    ):
        self._ranks, self._signals, self._count, self._due = ranks, signals, count, due
        self._own: Words = np.zeros(3, dtype=np.uint64)
        self._all: Words = np.zeros((ranks.size, 3), dtype=np.uint64)
        self._meet = ranks.allgather_of(self._own, self._all)

    def over(self, first: int, iterations: int, save: Callable[[int], None]) -> Iterator[int]:
        """first, ..., iterations - 1; where the ranks agree to, save(k) is called before k. Raises Stopped after that.

        The stride to the next agreement at most doubles, so that the clock is looked at seldom, however short or long
        an iteration is.
        """
        k, stride, looked = first, 1, time.monotonic()
        if iterations - first == 1 and (asked := self._agreed(stride, 0.0)[0]):  # there is no time between two of them
            save(first)
            raise Stopped(asked)
        while k < iterations:
            yield from range(k, min(k + stride, iterations))
            k = min(k + stride, iterations)
            self._count(k)
            if k < iterations:
                asked, due, stride = self._agreed(stride, time.monotonic() - looked)
                if asked or due:
                    save(k)
                if asked:
                    raise Stopped(asked)
                looked = time.monotonic()

    def _agreed(self, stride: int, seconds: float) -> tuple[int, int, int]:
        """A signal that a rank was sent, or 0; whether saving is due; the next stride. The same on every rank."""
        faster = min(_APART / max(seconds, 1e-9), 2.0)
        self._own[:] = self._signals.number, self._ranks.root and self._due(), max(1, int(stride * faster))
        self._meet.run()
        return int(self._all[:, 0].max()), int(self._all[0, 1]), int(self._all[0, 2])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, Stopped):  # else other ranks may not come here
            self._meet.free()
