"""Certificates for many iterations, which no enumeration reaches: by an inequality on every path, or by a recursion.

Sums of many terms are rounded to 40 digits, each in the direction that weakens what is claimed.
"""

from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

from mpisign.theory.certificates.bounds import Constants, advantage, constant_step, harmonic_step
from mpisign.theory.certificates.laws import paired, sideways, variance
from mpisign.theory.certificates.votes import round_law
from mpisign.theory.conditions import require

_DIGITS = 10**40


class Refutation(NamedTuple):
    """Where a bound fails.

    Attributes:
        k: The bound fails at k, or at some j <= k (`sideways_recursion`).
        lower: A lower limit of E V_k.
        bound: An upper limit of the bound there.
        constants: What went into the bound.
    """

    k: int
    lower: Fraction
    bound: Fraction
    constants: Constants


def paired_on_every_path(
    e: Fraction, h: Fraction, alpha: Fraction, start: tuple[Fraction, Fraction], most: int
) -> Refutation | None:
    """Return the first k <= most where (19) fails under strong convexity, f = ||x||^2/2 in two dimensions (X3).

    With the oracle `laws.paired`, for every x > 0, S = x_1 + x_2: x stays positive, (1 - 2 alpha h) S <= S' <= S,
    E ||g~ - g||_1^2 <= kappa S^2, and f >= S^2/4. So V_k >= (1 - 2 alpha h)^(2k) S_0^2/4 on every path. mu = 1, L = 2.

    Args:
        e: Probability of each large outcome, less than 1/4.
        h: Size of a small coordinate.
        alpha: The step size.
        start: x_0, positive.
        most: Largest k.

    Raises:
        ValueError: If a parameter is outside of what the argument needs.
    """
    require("0 < e < 1/4", 0 < e < Fraction(1, 4), {"e": e})  # p_min = 1 - e > 1/2, and what follows
    require("0 < h <= 1", 0 < h <= 1, {"h": h})
    require("0 < alpha < e and 2 alpha h < 1", 0 < alpha < e and 2 * alpha * h < 1, {"alpha": alpha, "e": e, "h": h})
    require("x_0 > 0", min(start) > 0, {"x_0": start})
    total = sum(start, Fraction(0))
    sigma2 = paired_variance(e, h) * total**2
    known = Constants(sum((x * x for x in start), Fraction(0)) / 2, Fraction(1), Fraction(2), 1 - e, sigma2, 1)
    for k in range(most + 1):
        lower = (1 - 2 * alpha * h) ** (2 * k) * total**2 / 4
        bound = constant_step(k, known, alpha, Fraction(0))
        if lower > bound:
            return Refutation(k, lower, bound, known)
    return None


def paired_variance(e: Fraction, h: Fraction) -> Fraction:
    """Return kappa with E ||g~ - g||_1^2 <= kappa ||g||_1^2 for `laws.paired` in two dimensions, g > 0.

    Where coordinate 1 is large the error is at most c g_1 + g_2 + r m, c = (1 - e)/e, r = h + max(0, 3 e - 1) h/e and
    m <= ||g||_1/2, else at most ||g||_1. The sum of squares is convex in g, and so largest where a coordinate is 0.
    """
    half = (h + max(Fraction(0), 3 * e - 1) * h / e) / 2
    return e * (((1 - e) / e + half) ** 2 + (1 + half) ** 2) + 1 - 2 * e


def paired_harmonic(e: Fraction, h: Fraction, most: int) -> Refutation | None:
    """Return the first k <= most, above 1, where (20) fails late, f = u^2/2 with u = (x_1 + x_2)/2 (X4).

    With `laws.paired`, u_0 = 1 and (20)'s alpha_k = 3/((1 - 2e)(k + 1)): a large outcome leaves u as it is, a small one
    makes u' = (1 - alpha_k h) u, so that E V_k = V_0 prod (2e + (1 - 2e)(1 - alpha_j h)^2). mu = L = 1.

    Args:
        e: Probability of each large outcome.
        h: Size of a small coordinate; alpha_0 h <= 1, so that |u| does not grow.
        most: Largest k.

    Raises:
        ValueError: If a parameter is outside of what the argument needs.
    """
    slope = 1 - 2 * e
    require("0 < e < 1/2", 0 < e < Fraction(1, 2), {"e": e})
    require("0 < h and 3 h/(1 - 2 e) <= 1", 0 < h <= slope / 3, {"h": h})
    gradient = (Fraction(1, 2), Fraction(1, 2))
    sigma2 = variance(gradient, paired(gradient, e, h))
    known = Constants(Fraction(1, 2), Fraction(1), Fraction(1), 1 - e, sigma2, 1)
    lower = known.gap0
    for k in range(1, most + 1):
        alpha = Fraction(3) / (slope * k)
        lower = _down(lower * (2 * e + slope * (1 - alpha * h) ** 2))
        if k > 1 and lower > (bound := harmonic_step(k, known)):
            return Refutation(k, lower, bound, known)
    return None


def sideways_recursion(
    workers: int, e: Fraction, h: Fraction, b: Fraction, limit: Fraction, alpha: Fraction, most: int
) -> Refutation | None:
    """Return a k <= most such that (21) fails at some j <= k, f = x_1^2/2 in two dimensions from x_1 = 1 (X5).

    With `laws.sideways` up to x_1 = limit, and the exact gradient beyond. There E x_1' = (1 + alpha r) x_1, r the drift
    of a vote, and (1 - alpha) x_1 beyond. As E x_1 1[x_1 > limit] <= 2 E V / limit, m_j = E x_1 has
    m_{j+1} >= (1 + alpha r) m_j - 2 alpha (1 + r) (21)(j) / limit as long as (21) holds, which it cannot at a k with
    m_k^2 / 2 > (21)(k), since E V_k >= m_k^2 / 2. mu = L = 1.

    Args:
        workers: M.
        e: Probability that a worker's first sign is wrong.
        h: Size of a wrong first coordinate.
        b: Size of the noise in the second coordinate.
        limit: Largest x_1 with noise.
        alpha: The step size.
        most: Largest k.

    Raises:
        ValueError: If a parameter is outside of what the argument needs.
    """
    require("0 < e < 1/2", 0 < e < Fraction(1, 2), {"e": e})
    require("alpha (h + b) < 1 and alpha (1 + e h)/(1 - e) < 1", _stays_positive(e, h, b, alpha), {"alpha": alpha})
    unit = (Fraction(1), Fraction(0))
    outcomes = sideways(unit, e, h, b)
    drift = (
        -sum((w * norm * vote[0] for (vote, norm), w in round_law(outcomes, workers).items()), Fraction(0)) / workers
    )
    require("the vote drifts away from 0", drift > 0, {"r": drift})
    sigma2 = variance(unit, outcomes) * limit**2
    known = Constants(Fraction(1, 2), Fraction(1), Fraction(1), 1 - e, sigma2, workers)
    mean, slope = Fraction(1), advantage(1 - e, workers) - alpha
    constant_step(0, known, alpha, Fraction(0))  # raises where alpha is out of range
    zeta, residual, power = 1 - 2 * alpha * slope, _up(sigma2 * alpha / (2 * slope)), Fraction(1)
    for k in range(most + 1):
        bound = _up(power * known.gap0) + residual
        if mean**2 / 2 > bound:
            return Refutation(k, mean**2 / 2, bound, known)
        mean = _down((1 + alpha * drift) * mean - 2 * alpha * (1 + drift) * bound / limit)
        if mean <= 0:
            return None
        power = _up(power * zeta)
    return None


def _stays_positive(e: Fraction, h: Fraction, b: Fraction, alpha: Fraction) -> bool:
    """Return whether no worker's norm takes x_1 > 0 to 0: alpha times any of them is less than x_1."""
    return alpha * (h + b) < 1 and alpha * (1 + e * h) / (1 - e) < 1


def _down(value: Fraction) -> Fraction:
    return Fraction(floor(value * _DIGITS), _DIGITS)


def _up(value: Fraction) -> Fraction:
    return Fraction(ceil(value * _DIGITS), _DIGITS)
