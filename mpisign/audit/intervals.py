"""Estimate a number with its interval at 95 %: Student's for means, the bootstrap's for everything else."""

from typing import NamedTuple

import numpy as np
import scipy.stats

LEAST = 3
"""Repeats that an interval needs: from two Student's is twelve standard errors wide, and says nothing."""


class Interval(NamedTuple):
    """A number and the ends of its interval; printed with three digits, or as a format says."""

    value: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        if self.high == np.inf and self.low in (-np.inf, 0.0) and np.isfinite(self.value):
            return f"{format(self.value, spec or '.3g')} [no interval: fewer than {LEAST} repeats]"
        value, low, high = (format(number, spec or ".3g") for number in self)
        return f"{value} [{low}, {high}]"

    def __str__(self) -> str:
        return format(self)

    def contains(self, value: float) -> bool:
        """Return whether the interval contains this value."""
        return self.low <= value <= self.high


def mean(samples: np.ndarray) -> Interval:
    """Return the mean of independent samples with Student's interval, which is infinite for fewer than LEAST samples.

    Args:
        samples: Shape (n,).
    """
    middle = samples.mean()
    if len(samples) < LEAST:
        return Interval(float(middle), -np.inf, np.inf)
    spread = scipy.stats.t.ppf(0.975, len(samples) - 1) * scipy.stats.sem(samples)
    return Interval(float(middle), float(middle - spread), float(middle + spread))


def geometric_mean(samples: np.ndarray) -> Interval:
    """Return the geometric mean of positive samples, with the interval of the mean of their logarithms."""
    return Interval(*(float(end) for end in np.exp(mean(np.log(samples)))))


def estimate_of_known(resampled: np.ndarray, least: float = 0.95) -> Interval | None:
    """Return `estimate` of the entries that are not NaN.

    It is None where the first entry is NaN, or less than the part `least` of all has a value.
    """
    if np.isnan(resampled[0]) or known_part(resampled) < least:
        return None
    return estimate(resampled[~np.isnan(resampled)])


def known_part(resampled: np.ndarray) -> float:
    """Return the part of the resamples that is not NaN, from 0 to 1."""
    return 1 - float(np.isnan(resampled).mean())


def estimate(resampled: np.ndarray) -> Interval:
    """Return the first entry, with the middle 95 % of the others, which are bootstrap resamples."""
    low, high = np.quantile(resampled[1:], [0.025, 0.975], method="nearest")
    return Interval(float(resampled[0]), float(low), float(high))
