"""The bounds of Theorems 2 and 3 in fractions, as printed and repaired; `mpisign.theory.bounds` has them in floats."""

from fractions import Fraction
from math import comb
from typing import NamedTuple

from mpisign.theory.conditions import require


class Constants(NamedTuple):
    """What a bound needs.

    Attributes:
        gap0: V_0.
        mu: Of Assumption 2.
        L: Of Assumption 3.
        p_min: Least probability of a right sign.
        sigma2: Of Assumption 4.
        workers: M.
        ties_become_wrong: Whether a tied vote can become wrong: where it becomes a coin's, or +1.
    """

    gap0: Fraction
    mu: Fraction
    L: Fraction
    p_min: Fraction
    sigma2: Fraction
    workers: int
    ties_become_wrong: bool = False


def wrong_share(known: Constants) -> Fraction:
    """Return phi, the least share of workers that are not right where the vote is wrong."""
    even = known.workers % 2 == 0
    return Fraction(1, 2) if even and known.ties_become_wrong else Fraction(known.workers // 2 + 1, known.workers)


def advantage(p: Fraction, workers: int) -> Fraction:
    """Return A_M(p) = P(most of M votes are right) - P(most are wrong), which is 2 I_p(kappa, kappa) - 1."""
    weights = (comb(workers, right) * p**right * (1 - p) ** (workers - right) for right in range(workers + 1))
    return sum((w * ((2 * j > workers) - (2 * j < workers)) for j, w in enumerate(weights)), Fraction(0))


def repair(known: Constants) -> Fraction:
    """Return the offset delta of R1 and R2, sigma^2 / (4 phi): sigma^2 / 4 for one worker, less than sigma^2 / 2."""
    return known.sigma2 / (4 * wrong_share(known))


def constant_step(k: int, known: Constants, alpha: Fraction, delta: Fraction) -> Fraction:
    """Return zeta^k V_0 + (delta + L sigma^2 alpha) / (2 mu (A - L alpha)), zeta = 1 - 2 mu alpha (A - L alpha).

    (19) and (21) with delta = 0, and their repairs (C1 with R1 or R2).

    Raises:
        ValueError: If p_min is not above 1/2, or alpha is out of range.
    """
    rho = _advantage(known)
    require("0 < alpha < (2 I_p_min(kappa, kappa) - 1)/L", 0 < alpha < rho / known.L, {"alpha": alpha, "L": known.L})
    slope = known.mu * (rho - known.L * alpha)
    zeta = 1 - 2 * alpha * slope
    require("zeta >= 0", zeta >= 0, {"zeta": zeta})
    return zeta**k * known.gap0 + (delta + known.L * known.sigma2 * alpha) / (2 * slope)


def floor(k: int, known: Constants, alpha: Fraction) -> Fraction:
    """Return (1 - mu alpha theta)^k V_0 + sigma^2 / (2 mu theta^2), theta = 1 - L alpha / 2 (C0).

    For M > 1 with (2/phi - 1)^2 sigma^2 (R3).

    Raises:
        ValueError: If alpha is out of range.
    """
    require("0 < alpha < 2/L", 0 < alpha * known.L < 2, {"alpha": alpha, "L": known.L})
    theta = 1 - known.L * alpha / 2
    noise = known.sigma2 * (2 / wrong_share(known) - 1) ** 2
    return (1 - known.mu * alpha * theta) ** k * known.gap0 + noise / (2 * known.mu * theta**2)


def harmonic_step(k: int, known: Constants) -> Fraction:
    """Return 9 L sigma^2 / (mu A)^2 (32/k + 1/k^2) + V_0 / (k + 1)^3 (20), for k >= 1.

    Raises:
        ValueError: If p_min is not above 1/2.
    """
    noise = 9 * known.L * known.sigma2 / (known.mu * _advantage(known)) ** 2
    return noise * (Fraction(32, k) + Fraction(1, k**2)) + known.gap0 / (k + 1) ** 3


def harmonic_repaired(k: int, known: Constants, k0: Fraction) -> Fraction:
    """Return (20') with R1 or R2: alpha_k = 3 / (mu A (k + k0)), k0 >= max{6 L / (mu A^2), 3}.

    (k0/(k + k0))^3 V_0 + (1 + 1/k0)^3 (9 L sigma^2 / (2 mu^2 A^2 (k + k0)) + delta / (mu A)).

    Raises:
        ValueError: If p_min is not above 1/2, or k0 is too small.
    """
    rho = _advantage(known)
    least = max(6 * known.L / (known.mu * rho**2), Fraction(3))
    require("k0 >= max{6 L/(mu A^2), 3}", k0 >= least, {"k0": k0, "least": least})
    late = k + k0
    noise = Fraction(9, 2) * known.L * known.sigma2 / ((known.mu * rho) ** 2 * late)
    offset = repair(known) / (known.mu * rho)
    return (k0 / late) ** 3 * known.gap0 + (1 + 1 / k0) ** 3 * (noise + offset)


def _advantage(known: Constants) -> Fraction:
    """Return A_M(p_min), for p_min > 1/2."""
    require("p_min > 1/2", known.p_min > Fraction(1, 2), {"p_min": known.p_min})
    return advantage(known.p_min, known.workers)
