"""End a repeat at the first record that fulfils a rule of its run's `stop`, on all ranks.

Values are known on the root alone, once a record is evaluated: with a rule each record is a block of its own, and its
values are the same on any ranks.
"""

from collections.abc import Mapping

import numpy as np

from mpisign.comm.collectives import Collectives
from mpisign.config.experiment import Stop
from mpisign.problems import Minimum

_RULES = ("gap", "gradient", "bits")


class Goal:
    """The rules of one repeat.

    Args:
        stop: the rules.
        minimum: f*, which the rule on the gap needs; nothing is at most a gap where it is None.
        ranks: who is to agree.
    """

    def __init__(self, stop: Stop, minimum: Minimum | None, ranks: Collectives):
        self._stop, self._ranks = stop, ranks
        self._f_star = np.nan if minimum is None else minimum.value
        self._row = np.zeros(1, dtype=np.uint64)

    def look(self, record: Mapping[str, np.ndarray]) -> None:
        """Look at a record, its columns of length 1, on the root."""
        holds = (
            self._stop.gap is not None and record["value"][0] - self._f_star <= self._stop.gap,
            self._stop.gradient is not None and record["gradient_l1"][0] <= self._stop.gradient,
            self._stop.bits is not None and record["bits_up"][0] + record["bits_down"][0] >= self._stop.bits,
        )
        self._row[0] = 1 + holds.index(True) if any(holds) else 0

    def met(self) -> str:
        """Return the first rule that holds at the last record, "" where none does; every rank calls it."""
        self._ranks.broadcast(self._row)
        return _RULES[int(self._row[0]) - 1] if self._row[0] else ""
