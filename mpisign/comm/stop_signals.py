"""Signals that ask a run to stop, SIGTERM and SIGUSR1, and what ranks do about one that any of them had."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Self

import numpy as np

from mpisign.comm.communicator import Communicator

STOPPED = 75
"""The exit status of a run that was asked to stop: EX_TEMPFAIL of sysexits.h, try again."""

_ASKING = (signal.SIGTERM, signal.SIGUSR1)


class StopRequested(SystemExit):
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
        # Python lets the main thread alone have handlers; a run in another one has none, and goes on.
        asking = _ASKING if threading.current_thread() is threading.main_thread() else ()
        self._before = {number: signal.signal(number, self._note) for number in asking}
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


class StopPoll:
    """Whether any rank had a signal, before the first iteration: every rank calls `stop` at the same time."""

    def __init__(self, ranks: Communicator, signals: StopSignals):
        self._ranks, self._signals = ranks, signals

    def stop(self) -> None:
        """Raise StopRequested on every rank where one of them was asked to stop."""
        own, numbers = np.array([self._signals.number], np.uint64), np.zeros((self._ranks.size, 1), np.uint64)
        meet = self._ranks.allgather_of(own, numbers)
        meet.run()
        meet.free()
        if numbers.any():
            raise StopRequested(int(numbers.max()), "no iteration was run yet; the same command starts again")
