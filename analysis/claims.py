"""One run against another: the ratio of their final gaps over the repeats, with its interval, and what it says.

The repeats of two runs of one job start at the same points and draw the same samples, so that they are compared in
pairs: the mean of log(gap of one / gap of the other), with Student's t interval at 95 %.
"""

from typing import NamedTuple

import numpy as np
import scipy.stats

from mpisign.trajectory import RunRecord

_LAST = 0.1
_SIMILAR = 2.0


class Ratio(NamedTuple):
    """Geometric mean of the ratio of the final gaps, and its 95 % interval; over `pairs` repeats."""

    mean: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        return f"{self.mean:.3g} [{self.low:.3g}, {self.high:.3g}]"


def final_gaps(run: RunRecord) -> np.ndarray:
    """Each complete repeat's gap, averaged over the records of the last tenth of its iterations; shape (R,)."""
    gaps = []
    for repeat in run.finished():
        k = repeat.columns["k"]
        gaps.append(run.gap(repeat)[k >= (1 - _LAST) * k[-1]].mean())
    return np.array(gaps)


def ratio(one: RunRecord, other: RunRecord) -> Ratio | None:
    """final gap of `one` over that of `other`; None when a repeat of either is not complete or there is one only."""
    if _lost(one) or _lost(other) or len(one.repeats) < 2:
        return None
    logs = np.log(final_gaps(one) / final_gaps(other))
    spread = scipy.stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    middle = logs.mean()
    return Ratio(*(float(np.exp(value)) for value in (middle, middle - spread, middle + spread)), len(logs))


def better(one: RunRecord, other: RunRecord) -> str:
    """Whether `one` ends lower than `other`: holds, does not hold, or open, with the evidence."""
    found = ratio(one, other)
    if found is None:
        return f"holds: {other.label} diverged" if _lost(other) and not _lost(one) else _not_comparable(one, other)
    return _said("holds" if found.high < 1 else "does not hold" if found.low > 1 else "open", found)


def similar(one: RunRecord, other: RunRecord) -> str:
    """Whether both end within a factor of two: holds, does not hold, or open, with the evidence."""
    found = ratio(one, other)
    if found is None:
        return _not_comparable(one, other)
    inside = found.low >= 1 / _SIMILAR and found.high <= _SIMILAR
    outside = found.high < 1 / _SIMILAR or found.low > _SIMILAR
    return _said("holds" if inside else "does not hold" if outside else "open", found)


def _said(verdict: str, found: Ratio) -> str:
    return f"{verdict}: ratio of final gaps {found}, {found.pairs} repeats"


def _lost(run: RunRecord) -> bool:
    return len(run.finished()) < len(run.repeats)


def _not_comparable(one: RunRecord, other: RunRecord) -> str:
    lost = [run.label for run in (one, other) if _lost(run)]
    return f"does not hold: {' and '.join(lost)} diverged" if lost else "open: one repeat only"
