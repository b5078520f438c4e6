"""Limits of the mean of Z >= 0 from independent repeats: exact ones by betting, approximate ones by the bootstrap.

Repeats run along the first axis. Pure functions; the resampling is seeded and fixed.

A bet of the stake f on "the mean of Z is above t" multiplies a capital of 1 by 1 + f (Z_r / t - 1) at each repeat r.
Where the mean is at most t the capital grows by nothing on average, so that it is above 1/a with probability at most a,
whatever the law of Z (Waudby-Smith & Ramdas, 2024, who bet so on bounded variables; that f < 1 and Z >= 0 is all that
is needed here). The capital is divided among STAKES beforehand. Stakes that follow the data (GRAPA) are as valid, and
were measured to find less under most laws: docs/audit/statistics.md, which has the error rates of all of this.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import scipy.optimize

from mpisign.arrays import Floats

STAKES = np.array([0.02, 0.05, 0.12, 0.25, 0.5, 0.99])
"""Low ones find a small excess under a wide law from many repeats, high ones a large excess from few."""
_BEYOND = 25  # resamples beyond the quantile that is asked for
_SEED = 20240906
_BLOCK = 256  # resamples at a time: 2 MB of counts for R = 1000
_HALVINGS = 54  # of a bracket of at most 700: to 1e-13


def log_capital(ratios: Floats) -> Floats:
    """Return log of the capital after all repeats, the mean over stakes f of prod_r (1 + f (Z_r - 1)).

    If the Z_r are independent with means <= 1, or of a mean mean <= 1, its expectation is at most 1: it is an e-value.

    Args:
        ratios: Z, shape (R, ...).
    """
    # A loop, so that memory stays that of the ratios.
    logs = [np.log1p(stake * (ratios - 1)).sum(axis=0) for stake in STAKES]
    mixed: Floats = np.logaddexp.reduce(logs, axis=0) - math.log(len(STAKES))
    return mixed


def log_joint_capital(ratios: Floats) -> Floats:
    """Return log of the highest capital at any r that is divided among all checkpoints and stakes.

    If, given the repeats before it, each repeat has E Z <= 1 at every checkpoint, the capital is a supermartingale
    whatever binds the checkpoints of a repeat to each other, and its highest value is above 1/a with probability at
    most a (Ville's inequality). It is at least `log_capital` of each checkpoint less log m, which Bonferroni compares.

    Args:
        ratios: Z, shape (R, m, ...), the repeats in the order of their numbers.
    """
    paths = [np.log1p(stake * (ratios - 1)).cumsum(axis=0) for stake in STAKES]
    logs = np.concatenate(paths, axis=1)
    top = logs.max(axis=1)
    sums: Floats = np.log(np.exp(logs - top[:, None]).sum(axis=1)) + top
    highest: Floats = sums.max(axis=0) - math.log(logs.shape[1])
    return highest


def lower_limits(ratios: Floats, level: float) -> Floats:
    """Return lower limits of the means of the columns of Z, each above the mean with probability at most `level`.

    It is the t at which the capital of Z / t is 1 / level; 0 where all Z are 0, infinite where one is.

    Args:
        ratios: Z, shape (R, m).
        level: Error probability of each limit.

    Returns:
        Shape (m,).
    """
    limits: Floats = ratios.max(axis=0)
    some = (limits > 0) & np.isfinite(limits)
    if some.any():
        scaled = ratios[:, some] / limits[some]
        roots = _root(lambda log_t: log_capital(scaled * np.exp(-log_t)) + math.log(level), *_bracket(scaled, level))
        limits[some] *= np.exp(roots)
    return limits


def _bracket(scaled: Floats, level: float) -> tuple[Floats, Floats]:
    """Return log t between which the capital of Z / t falls through 1 / level, where the largest Z is 1.

    It is below 1 at the sample's mean, and beyond 1 / level at e^-depth, already by the largest Z and the lowest stake.
    """
    depth = math.log(len(STAKES) / STAKES[0] / level) - len(scaled) * math.log1p(-STAKES[0])
    high = np.log(scaled.mean(axis=0))
    return np.full_like(high, -min(depth, 700.0)), high


def _root(excess: Callable[[Floats], Floats], low: Floats, high: Floats) -> Floats:
    """Return where falling functions of one number each are 0, (m,), from below."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = excess(middle) > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return low


def joint_limit(ratios: Floats, level: float) -> float:
    """Return c such that no c' < c has E Z <= c' in every repeat and at every checkpoint, but for an error of `level`.

    So it is a lower limit of the largest mean of Z over repeats and checkpoints. It is the c at which the joint
    capital of Z / c is 1 / level, and at least the largest of `lower_limits` at level / m.

    Args:
        ratios: Z, shape (R, m), the repeats in the order of their numbers.
        level: Error probability.
    """
    least, top = float(lower_limits(ratios, level / ratios.shape[1]).max()), float(ratios.max())
    if least == 0 or not np.isfinite(top):
        return top if least else 0.0

    def excess(log_c: float) -> float:
        return float(log_joint_capital(ratios / top * math.exp(-log_c))) + math.log(level)

    start = math.log(least / top)
    return top * math.exp(scipy.optimize.brentq(excess, start, 0, xtol=1e-12)) if excess(start) > 0 else least


def bounded_upper_limits(ratios: Floats, largest: Floats, level: float) -> Floats:
    """Return exact upper limits of the means of Z <= B: B less the lower limit of the mean of B - Z.

    A mean below t is seen where B / t is up to about a fifth of the number of repeats; where B is far above that, so is
    the limit above t. Infinite where B is.

    Args:
        ratios: Z, shape (R, m).
        largest: B, known before the repeats are seen, shape (m,).
        level: Error probability of each limit.
    """
    limits = np.full(ratios.shape[1], np.inf)
    known = np.isfinite(largest)
    if known.any():
        below = np.maximum(largest[known] - ratios[:, known], 0)
        limits[known] = largest[known] - lower_limits(below, level)
    return limits


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
