"""Say which k are recorded, and how many records are evaluated together."""

from collections.abc import Sequence

import numpy as np

from mpisign.arrays import Indices
from mpisign.config.experiment import Log, Run, Stop

BLOCK = 64
"""Records that are evaluated together; fewer where that many points would take more than 32 MiB."""


def schedule(log: Log, iterations: int, earlier: Sequence[int] | None = None) -> Indices:
    """Return the recorded k, int64, increasing, with 0 and K = `iterations` among them.

    Args:
        log: what is recorded.
        iterations: K.
        earlier: K of the shorter runs that this one went on from: where k are log-spaced, those up to there are theirs.
    """
    if log.every is not None:
        return np.unique([*range(0, iterations + 1, log.every), iterations]).astype(np.int64)
    found: Indices = np.zeros(1, dtype=np.int64)
    for last in (*(earlier or ()), iterations):
        points = np.round(np.geomspace(1, last, log.points - 1)).astype(np.int64)
        found = np.concatenate([found, np.unique([*points[points > found[-1]], last])])
    return found


def schedule_of(log: Log, run: Run) -> Indices:
    """Return the recorded k of a run."""
    return schedule(log, run.iterations, run.earlier)


def block_of(log: Log, stop: Stop | None = None) -> int:
    """Return about how many records a block is to have; one where a rule looks at each.

    K does not count: a run that goes on has the blocks, and so the bits, of one that was as long from the start.
    """
    return 1 if stop is not None else log.points if log.every is None else BLOCK
