"""Whether a bound held: the statistics of measured gaps against it, at checkpoints chosen beforehand.

The claim is E[gap | x_0] <= bound, for every repeat and at every checkpoint; ratios are gap / bound. Of m checkpoints
each has a lower limit at level / m, so that all lower limits hold at once with probability at least 1 - level
(Bonferroni), whatever the law. The upper limits, at level / m too, are approximate: see `upper_limits`.

Independent repeats run along the first axis. Pure functions; the resampling is seeded and fixed.
"""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import scipy.optimize

from mpisign.arrays import Floats, Indices
from mpisign.theory.conditions import in_range, require

MIN_REPEATS = 20
"""Fewer are never enough for "confirmed": they say nothing of a tail at level / m, whatever they are resampled to, and
20 are the fewest for which the error was measured (`upper_limits`)."""
CHECKPOINTS = 12
"""At most; each costs its part of the level."""
RELATIVE = 1e-10
"""What `judge_exact` allows for rounding, relative to the bound."""
_STAKES = np.array([0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 0.99])
_BEYOND = 25  # resamples beyond the quantile that is asked for
_SEED = 20240906
_BLOCK = 256  # resamples at a time: 2 MB of counts for R = 1000


Word = Literal["confirmed", "violated", "vacuous", "inconclusive"]


class Judgement(NamedTuple):
    """What was found, with the evidence at each checkpoint, each of shape (m,).

    mean: of the gaps. bound: its mean over the repeats. low, high: limits of the mean of gap / bound, times `bound`,
    each one-sided at level / m. premise: what failed, when the verdict is vacuous; otherwise empty. level: that of the
    lower limits together; 0 where the gaps are exact, NaN where the verdict is vacuous.
    """

    verdict: Word
    premise: str
    mean: Floats
    low: Floats
    high: Floats
    bound: Floats
    level: float


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


def judge(gaps: Floats, bounds: Floats, *, level: float = 0.05, f_star_error: float = 0.0) -> Judgement:
    """Judge gaps of shape (R, m), each repeat's at each checkpoint, by bounds of shape (R, m) or (m,), positive.

    A gap is +inf where the repeat had diverged: which means that no finite mean is claimed for it, so that one such is
    enough for "violated". f_star_error is the largest error of f*: gaps are lowered by it for `low` (not below 0), and
    raised for `high`.

    violated      where some `low` is above its bound. The false-alarm rate is at most `level`, whatever the law of the
                  gaps: see `lower_limit`.
    confirmed     where every `high` is at or below its bound and R >= MIN_REPEATS. Without an upper limit on the gaps
                  known beforehand no test of this can be exact (Bahadur & Savage, 1956): see `upper_limits` for the
                  error rates. It is the mean over the repeats' x_0 that is confirmed.
    inconclusive  otherwise.

    Raises ValueError: a gap that is negative or NaN, a bound that is not positive and finite, a level outside (0, 1).
    """
    gaps, bounds = _measured(gaps, bounds)
    in_range(f_star_error=f_star_error)
    require("0 < level < 1", 0 < level < 1, {"level": level})
    require("bounds > 0", (bounds > 0).all(), {"least": bounds.min()})
    each = level / gaps.shape[1]
    low = np.array([lower_limit(column, each) for column in _over(np.maximum(gaps - f_star_error, 0), bounds).T])
    high = upper_limits(_over(gaps + f_star_error, bounds), each)
    confirmed = len(gaps) >= MIN_REPEATS and (high <= 1).all()
    verdict: Word = "violated" if (low > 1).any() else "confirmed" if confirmed else "inconclusive"
    bound = bounds.mean(axis=0)
    return Judgement(verdict, "", _mean(gaps), low * bound, high * bound, bound, level)


def judge_exact(gaps: Floats, bounds: Floats, *, rounding: float = 0.0) -> Judgement:
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
    return Judgement(verdict, "", _mean(gaps), scaled.min(axis=0), scaled.max(axis=0), bound, 0.0)


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


def log_capital(ratios: Floats) -> Floats:
    """Return log of the mean over stakes f of prod_r (1 + f (Z_r - 1)), for Z of shape (R, ...).

    If the Z_r >= 0 are independent with means <= 1, or of a mean mean <= 1, its expectation is at most 1: it is an
    e-value, and by Markov's inequality exceeds 1/a with probability at most a (Waudby-Smith & Ramdas, 2024, who bet so
    on bounded variables; that f < 1 and Z >= 0 is all that is needed here).
    """
    # A loop, so that memory stays that of the ratios.
    logs = [np.log1p(stake * (ratios - 1)).sum(axis=0) for stake in _STAKES]
    mixed: Floats = np.logaddexp.reduce(logs, axis=0) - math.log(len(_STAKES))
    return mixed


def lower_limit(ratios: Floats, level: float) -> float:
    """Return a lower limit of the mean of Z, shape (R,): above the mean with probability at most `level`.

    It is the t at which the capital of Z / t is 1 / level.

    The capital falls as t grows. It is below 1 at the sample's mean, and beyond 1 / level at max Z e^-depth, already by
    the largest Z and the lowest stake.
    """
    top = ratios.max()
    if top == 0 or not np.isfinite(top):
        return float(top)
    needed = -math.log(level)
    depth = needed + math.log(len(_STAKES) / _STAKES[0]) - len(ratios) * math.log1p(-_STAKES[0])

    def excess(log_t: float) -> float:
        return float(log_capital(ratios / top * math.exp(-log_t))) - needed

    mean = math.log((ratios / top).mean())
    return float(top * math.exp(scipy.optimize.bisect(excess, -min(depth, 700.0), mean, xtol=1e-12)))


def upper_limits(ratios: Floats, level: float) -> Floats:
    """Return bootstrap-t upper limits of the means of the columns of Z: (R, m) -> (m,).

    See Efron & Tibshirani, 1993, ch. 12: mean - q se, where q is the quantile at `level` of (mean* - mean)/se* over
    resamples of the repeats, the same for all columns and in every call. Infinite where a Z is, and for R = 1.

    Not exact. How often the limit was below the mean, in percent of 4000 samples of one column:

        level 5 %:     R = 20   100  1000      level 5/12 %:  R = 20   100  1000
        chi-square_1      7.8   5.2   4.9                        1.3   0.6   0.5
        exponential       6.7   5.8   5.4                        1.4   0.7   0.5
        lognormal(0,1)     11   7.3   5.4                        2.5   1.1   0.5
        lognormal(0,2)     24    18    12                         10   5.4   3.0
        1 % of 101 a       82    36   5.1                         82    36   0.0     otherwise a

    For R = 20 and 100 the last is how often the sample has no rare value in it, which no method can know.
    """
    limits = np.full(ratios.shape[1], np.inf)
    with np.errstate(over="ignore"):
        finite = np.isfinite(ratios.sum(axis=0))
    if len(ratios) < 2 or not finite.any():
        return limits
    mean = ratios[:, finite].mean(axis=0)
    centred = ratios[:, finite] - mean
    size = np.abs(centred).max(axis=0)
    centred /= np.where(size > 0, size, 1)  # squares neither overflow nor vanish
    count = math.ceil(_BEYOND / level)
    studentised = np.concatenate([_studentised(centred, block) for block in _resamples(len(ratios), count)])
    quantile = np.quantile(studentised, level, axis=0, method="inverted_cdf")
    spread = centred.std(axis=0, ddof=1) / math.sqrt(len(ratios)) * size
    limits[finite] = mean - np.where(spread > 0, quantile, 0) * spread
    return limits


def _studentised(centred: Floats, counts: Floats) -> Floats:
    """Return mean* / se* of each resample, (B, m); -inf or inf where all its values are equal and not the mean."""
    repeats = len(centred)
    mean = counts @ centred / repeats
    variance = np.maximum(counts @ centred**2 / repeats - mean**2, 0) / (repeats - 1)
    still = variance <= 1e-15 * mean**2
    return np.where(still, np.copysign(np.inf, mean), mean / np.sqrt(np.where(still, 1, variance)))


def _resamples(repeats: int, count: int) -> Iterator[Floats]:
    """Return how often each repeat is drawn, (block, R): `count` resamples in all, fixed."""
    rng = np.random.default_rng(_SEED)
    for start in range(0, count, _BLOCK):
        block = min(_BLOCK, count - start)
        drawn = rng.integers(repeats, size=(block, repeats)) + repeats * np.arange(block)[:, None]
        yield np.bincount(drawn.ravel(), minlength=block * repeats).reshape(block, repeats).astype(np.float64)


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
