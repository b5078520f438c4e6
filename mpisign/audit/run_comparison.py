"""Compare two runs: the ratio of their final gaps over the repeats, with its interval, and what it says.

The repeats of two runs of one job start at the same points and draw the same samples, so that they are compared in
pairs: the mean of log(gap of one / gap of the other), with Student's t interval at 95 %.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mpisign.audit.intervals import Interval, geometric_mean
from mpisign.storage.trajectory import RunRecord
from mpisign.theory.verdict import Word

_LAST = 0.1
SIMILAR = 2.0
"""Factor within which final gaps are similar."""


class Ratio(NamedTuple):
    """Geometric mean of the ratio of the final gaps, with its 95 % interval, over `pairs` repeats."""

    value: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        return str(Interval(self.value, self.low, self.high))


class Finding(NamedTuple):
    """What a comparison found.

    Attributes:
        verdict: "confirmed", "violated" or "inconclusive".
        evidence: The ratio, or why there is none.
    """

    verdict: Word
    evidence: Ratio | str

    @property
    def diverged(self) -> bool:
        """Return whether there is no ratio because a run diverged."""
        return isinstance(self.evidence, str) and self.evidence.endswith("diverged")

    def __str__(self) -> str:
        if isinstance(self.evidence, str):
            return f"{self.verdict}: {self.evidence}"
        return f"{self.verdict}: ratio of final gaps {self.evidence}, {self.evidence.pairs} repeats"


ComparisonResult = tuple[str, Finding]
"""A sentence of the text about two runs, and what was found."""


def final_gaps(run: RunRecord) -> np.ndarray:
    """Return the gap of each complete repeat, averaged over the records of the last tenth of its iterations.

    Returns:
        Gaps, shape (R,).
    """
    gaps = []
    for repeat in run.finished():
        k = repeat.columns["k"]
        gaps.append(run.gap(repeat)[k >= (1 - _LAST) * k[-1]].mean())
    return np.array(gaps)


def ratio(one: RunRecord, other: RunRecord) -> Ratio | None:
    """Return the final gap of `one` over that of `other`, which has the same repeats.

    It is None when a repeat of either diverged, when there is only one repeat, and when a final gap is not above 0.
    """
    if _lost(one) or _lost(other) or len(one.repeats) < 2 or _at_minimum(one) or _at_minimum(other):
        return None
    ratios = final_gaps(one) / final_gaps(other)
    return Ratio(*geometric_mean(ratios), len(ratios))


def better(one: RunRecord, other: RunRecord) -> Finding:
    """Return whether `one` ends lower than `other`."""
    if _lost(other) and not _lost(one):
        return Finding("confirmed", f"{other.label} diverged")
    return _judged(one, other, lambda found: found.high < 1, lambda found: found.low > 1)


def similar(one: RunRecord, other: RunRecord, within: float = SIMILAR) -> Finding:
    """Return whether both end within this factor."""
    return _judged(
        one,
        other,
        lambda found: found.low >= 1 / within and found.high <= within,
        lambda found: found.high < 1 / within or found.low > within,
    )


def _judged(
    one: RunRecord, other: RunRecord, holds: Callable[[Ratio], bool], fails: Callable[[Ratio], bool]
) -> Finding:
    """Return the finding on a ratio, which confirms where `holds` and violates where `fails`."""
    lost = [run.label for run in (one, other) if _lost(run)]
    if lost:
        return Finding("violated", f"{' and '.join(lost)} diverged")
    found = ratio(one, other)
    if found is None:
        return Finding(
            "inconclusive", "one repeat only" if len(one.repeats) < 2 else "a final gap is within the error of f*"
        )
    return Finding("confirmed" if holds(found) else "violated" if fails(found) else "inconclusive", found)


def _lost(run: RunRecord) -> bool:
    """Return whether a repeat diverged; one that has not ended does not count as such (see `figure.whole`)."""
    return any(repeat.status == "diverged" for repeat in run.repeats)


def _at_minimum(run: RunRecord) -> bool:
    """Return whether a final gap is not above 0, as f* is known only up to an error."""
    return not (final_gaps(run) > 0).all()
