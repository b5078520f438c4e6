"""Whether a bound held: the statistics of measured gaps against it, at checkpoints chosen beforehand.

The claim is E[gap | x_0] <= bound, for every repeat and at every checkpoint; ratios are gap / bound. `violated` and,
where the gap has a limit beforehand, `confirmed` are exact tests, whatever the law of the gaps: `mpisign.theory.limits`
has the bets. Otherwise `confirmed` rests on approximate limits, and on the condition that no rare value weighs.

Independent repeats run along the first axis.
"""

import math
from typing import Literal, NamedTuple

import numpy as np

from mpisign.arrays import Floats, Indices
from mpisign.theory.conditions import in_range, require
from mpisign.theory.limits import bounded_upper_limits, joint_limit, lower_limits, upper_limits

MIN_REPEATS = 20
"""Fewer confirm nothing but by exact limits: 20 are the fewest for which the error was measured (`upper_limits`).

From there on the condition means the same for every R: a value of 1 in `rarest` that alone takes the mean above the
bound is overlooked in 4 to 6 % of samples. One of 1 in 50 needs 149 repeats.
"""
CHECKPOINTS = 12
"""At most; each costs its part of the level."""
RELATIVE = 1e-10
"""What is allowed for rounding, relative to the bound in `judge_exact`, and to a known limit of the gap in `judge`."""


Word = Literal["confirmed", "violated", "vacuous", "inconclusive"]


class Judgement(NamedTuple):
    """What was found, with the evidence at each checkpoint, each of shape (m,).

    mean: of the gaps. bound: its mean over the repeats. low, high: one-sided limits of the mean of gap / bound, times
    `bound`: `low` exact at level / m; `high` approximate at level / m or, where `exact`, exact at `level`. premise:
    what failed, when the verdict is vacuous; otherwise empty. level: that of the lower limits together; 0 where the
    gaps are exact, NaN where the verdict is vacuous. joint: a lower limit at `level` of the largest mean of
    gap / bound over repeats and checkpoints, by all of them together; NaN without a test. exact: whether `high` is.
    """

    verdict: Word
    premise: str
    mean: Floats
    low: Floats
    high: Floats
    bound: Floats
    level: float
    joint: float = math.nan
    exact: bool = False


def checkpoints(ks: Indices) -> Indices:
    """Return indices of at most 12 of the recorded k, (n,) increasing: log-spaced from the first k > 0 to the last.

    A function of the schedule alone, so that the choice cannot follow the data. k = 0 is never among them, the last is.
    """
    ks = np.asarray(ks)
    require("ks is increasing", ks.ndim == 1 and (np.diff(ks) > 0).all(), {"shape of ks": ks.shape})
    positive = np.flatnonzero(ks > 0)
    require("some k > 0", len(positive) > 0, {"largest": ks.max(initial=0)})
    logs = np.log(ks[positive])
    wanted = np.linspace(logs[0], logs[-1], CHECKPOINTS)
    nearest = np.abs(logs[:, None] - wanted).argmin(axis=0)
    chosen: Indices = positive[np.unique(nearest)]
    return chosen


def rarest(repeats: int) -> int:
    """Return the largest N such that a value of probability 1/N is among so many repeats with probability 95 %.

    149 repeats see a value of 1 in 50; roughly, R see one of 3 in R.
    """
    return math.floor(-1 / math.expm1(math.log(0.05) / repeats))


def judge(
    gaps: Floats,
    bounds: Floats,
    *,
    level: float = 0.05,
    f_star_error: Floats | float = 0.0,
    largest_gap: Floats | float = math.inf,
) -> Judgement:
    """Judge gaps of shape (R, m), each repeat's at each checkpoint, by bounds of shape (R, m) or (m,), positive.

    A gap is +inf where the repeat had diverged: which means that no finite mean is claimed for it, so that one such is
    enough for "violated". f_star_error is the largest error of f*, or of each gap: gaps are lowered by it for `low` and
    `joint` (not below 0), and raised for `high`. largest_gap, (R, m), (m,) or a number, is what no gap can exceed, and
    was known before the repeats were; infinite where nothing is known.

    violated      where `joint` is above 1, which it is where some `low` is above its bound. The false-alarm rate is at
                  most `level`, whatever the law of the gaps and whatever binds the checkpoints: see `joint_limit`. The
                  repeats are taken in the order that they have.
    confirmed     where the exact `high` that follows from `largest_gap` is at or below its bound at every checkpoint:
                  wrong with probability at most `level`, for whichever bound fails, its own limit is too low then, so
                  that no part of the level goes to the others. Or else where every approximate `high` is and
                  R >= MIN_REPEATS: without a limit on the gaps known beforehand no test of this can be exact (Bahadur
                  & Savage, 1956), and it is said on the condition that nothing rarer than 1 in `rarest` weighs; see
                  `upper_limits` for the error rates. It is the mean over the repeats' x_0 that is confirmed.
    inconclusive  otherwise.

    Raises ValueError: a gap that is negative, NaN or above `largest_gap`, a bound that is not positive and finite, a
    level outside (0, 1).
    """
    gaps, bounds = _measured(gaps, bounds)
    in_range(f_star_error=f_star_error)
    require("0 < level < 1", 0 < level < 1, {"level": level})
    require("bounds > 0", (bounds > 0).all(), {"least": bounds.min()})
    require("gaps <= largest_gap", (gaps <= np.multiply(largest_gap, 1 + RELATIVE)).all(), {"largest": gaps.max()})
    lowered, raised = _over(np.maximum(gaps - f_star_error, 0), bounds), _over(gaps + f_star_error, bounds)
    low, joint = lower_limits(lowered, level / gaps.shape[1]), joint_limit(lowered, level)
    most = _over(np.add(largest_gap, f_star_error), bounds).max(axis=0)
    high, exact = _upper_limits(raised, most, level)
    confirmed = (exact or len(gaps) >= MIN_REPEATS) and (high <= 1).all()
    verdict: Word = "violated" if joint > 1 else "confirmed" if confirmed else "inconclusive"
    bound = bounds.mean(axis=0)
    return Judgement(verdict, "", _mean(gaps), low * bound, high * bound, bound, level, joint, exact)


def _upper_limits(ratios: Floats, most: Floats, level: float) -> tuple[Floats, bool]:
    """Return upper limits of the columns' means, and whether they are exact: where those are all at or below 1."""
    limits = bounded_upper_limits(ratios, most, level)
    exact = bool((limits <= 1).all())
    return (limits if exact else upper_limits(ratios, level / ratios.shape[1])), exact


def judge_exact(gaps: Floats, bounds: Floats, *, rounding: Floats | float = 0.0) -> Judgement:
    """Judge gaps without noise, shapes as in `judge`: each is at most bound (1 + 1e-10) + rounding, or they violate it.

    rounding: the absolute error of a gap, from rounding and f*. low and high are the least and the largest gap / bound
    of a repeat, the gap less `rounding`, times the mean bound; the level is 0. Bounds may be 0.
    """
    gaps, bounds = _measured(gaps, bounds)
    in_range(rounding=rounding)
    held = (gaps <= bounds * (1 + RELATIVE) + rounding).all()
    verdict: Word = "confirmed" if held else "violated"
    above, bound = np.maximum(gaps - rounding, 0), bounds.mean(axis=0)
    scaled = np.where(bounds > 0, above / np.where(bounds > 0, bounds, 1) * bound, above)
    return Judgement(verdict, "", _mean(gaps), scaled.min(axis=0), scaled.max(axis=0), bound, 0.0, exact=True)


def vacuous(gaps: Floats, premise: str) -> Judgement:
    """Return the theorem says nothing: `premise` names what fails and where, "p_min > 1/2 at k = 300".

    No bound and no limits.

    Premises come before bounds: whoever has a failing one asks this and not `judge`.
    """
    require("premise says what fails", premise, {"premise": repr(premise)})
    return unknown(gaps)._replace(verdict="vacuous", premise=premise)


def unknown(gaps: Floats) -> Judgement:
    """inconclusive, since a constant of the bound is not known: no bound and no limits."""
    mean = _mean(np.asarray(gaps, dtype=np.float64))
    nothing = np.full_like(mean, np.nan)
    return Judgement("inconclusive", "", mean, nothing, nothing, nothing, math.nan)


def _measured(gaps: Floats, bounds: Floats) -> tuple[Floats, Floats]:
    """Return both as (R, m), checked."""
    gaps = np.asarray(gaps, dtype=np.float64)
    require("gaps are (repeats, checkpoints), none of them 0", gaps.ndim == 2 and gaps.size, {"shape": gaps.shape})
    in_range(bounds=bounds)
    require("gaps >= 0", (gaps >= 0).all(), {"least": gaps.min()})
    return gaps, np.broadcast_to(np.asarray(bounds, dtype=np.float64), gaps.shape)


def _mean(gaps: Floats) -> Floats:
    with np.errstate(over="ignore"):
        mean: Floats = gaps.mean(axis=0)
    return mean


def _over(gaps: Floats, bounds: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return gaps / bounds
