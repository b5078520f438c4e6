"""Random numbers as a pure function of (seed, repeat, worker, k).

Philox is a keyed counter (Salmon et al., SC 2011): its key holds the seed and what the numbers are for, its
counter the repeat, the worker and k. Nothing is carried from one iteration to the next, so a
trajectory depends on neither the number of ranks nor where a run was resumed.
"""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What the numbers are for: independent streams at the same (seed, repeat, worker, k)."""

    START = 0
    ORACLE = 1
    ZERO_SIGN = 2
    TIE = 3
    DATA = 4
    PROBE = 5


class RandomStreams:
    """The random numbers of one repeat, the one numbered `repeat`.

    >>> streams = RandomStreams(seed=1, repeat=0)
    >>> a = streams.generator(Stream.ORACLE, worker=2, k=7).integers(0, 100, 3)
    >>> b = streams.generator(Stream.ORACLE, worker=2, k=7).integers(0, 100, 3)
    >>> bool((a == b).all())
    True
    """

    def __init__(self, seed: int, repeat: int):
        self.repeat = repeat
        self._philox = np.random.Philox(key=[seed, 0], counter=[0, 0, 0, repeat])
        self._generator = np.random.Generator(self._philox)
        # The state of a generator that has drawn nothing: its buffer is empty and stays so in this copy.
        self._state = self._philox.state
        self._key = self._state["state"]["key"]
        self._counter = self._state["state"]["counter"]

    def generator(self, stream: Stream, worker: int, k: int) -> np.random.Generator:
        """Return the generator placed at (worker, k); it is shared: draw before the next call.

        Args:
            stream: what the numbers are for.
            worker: the worker's number.
            k: the iteration.
        """
        self._key[1] = stream
        self._counter[1] = k
        self._counter[2] = worker
        self._philox.state = self._state
        return self._generator
