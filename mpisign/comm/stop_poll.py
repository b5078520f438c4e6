"""Ask all ranks before the first iteration whether any of them had a signal."""

import numpy as np

from mpisign.comm.collectives import Collectives
from mpisign.stop_signals import NOT_BEGUN, StopRequested, StopSignals


class StopPoll:
    """The question whether any rank had a signal, before the first iteration; every rank asks at the same time."""

    def __init__(self, ranks: Collectives, signals: StopSignals):
        self._ranks, self._signals = ranks, signals

    def stop(self) -> None:
        """Raise StopRequested on every rank if one of them was asked to stop."""
        own, numbers = np.array([self._signals.number], np.uint64), np.zeros((self._ranks.size, 1), np.uint64)
        collective = self._ranks.allgather_of(own, numbers)
        collective.run()
        collective.free()
        if numbers.any():
            raise StopRequested(int(numbers.max()), NOT_BEGUN)
