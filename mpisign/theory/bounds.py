"""What the paper proves, as it is printed, and the corrected statements beside it: pure functions.

k: iteration numbers, t: times, of shape (n,) and any real dtype. gap0: V_0 = f(x_0) - f*, a number or an array that
broadcasts against them, such as (R, 1). Every bound has the shape of the two together and is float64. A parameter
outside the theorem's range, or NaN, is a ValueError that names the condition. Assumptions 1 and 2 enter through mu.

Theorems 2 and 3 take the norm of the stochastic gradient for independent of whether its signs are right, which for
d >= 2 it need not be. They hold with one term added (R1, R2: `mpisign.theory.drift.repaired`): `theorem2_repaired` and
so on. C0: `floor_bound`; C1: `drift_bound`, with a measurable drift in the place of 2 p_min - 1; C2:
`mpisign.theory.drift`; C3: `harmonic_shifted`; C4: `vote_moments.vote_drift`.
"""

import math
from typing import Literal

import numpy as np
from scipy.special import xlog1py

from mpisign.arrays import Floats
from mpisign.theory.conditions import ROUNDING, curvatures, in_range, require, step
from mpisign.theory.vote_moments import Numbers, Ties, vote_advantage, wrong_share

# The deterministic setting


def zeta(mu: float, L: float, alpha: float) -> float:
    """Return 1 - 2 mu alpha (1 - L alpha / 2) in [0, 1) (Theorem 1), for 0 < alpha < 2/L."""
    return max(1 - _theorem1_rate(mu, L, alpha), 0.0)


def theorem1(k: Floats, gap0: Numbers, *, mu: float, L: float, alpha: float) -> Floats:
    """Return the bound V_k <= zeta^k V_0 (16), for 0 < alpha < 2/L."""
    return _linear(k, gap0, _theorem1_rate(mu, L, alpha))


def theorem1_gradient(k: Floats, gap0: Numbers, *, L: float, alpha: float) -> Floats:
    """Return the bound min over l <= k of ||g_l||_1^2 <= V_0 / (gamma (k + 1)), gamma = alpha (1 - L alpha / 2) (17).

    For 0 < alpha < 2/L and f bounded from below, which the paper leaves unsaid.
    """
    in_range(k=k, gap0=gap0)
    gamma = alpha * _descent(L, alpha)
    return _over(gap0, gamma * (_real(k) + 1))


# The stochastic setting, as printed


def theorem2(k: Floats, gap0: Numbers, *, mu: float, L: float, alpha: float, p_min: float, sigma2: float) -> Floats:
    """Return the bound E V_k <= zeta_1^k V_0 + L sigma^2 alpha / (2 mu (2 p_min - 1 - L alpha)) (19).

    zeta_1 = 1 - 2 mu alpha (2 p_min - 1 - L alpha), for 0 < alpha < (2 p_min - 1)/L.
    """
    in_range(p_min=p_min, sigma2=sigma2)
    step(alpha, L, 2 * p_min - 1, "(2 p_min - 1)")
    return drift_bound(k, gap0, mu=mu, L=L, alpha=alpha, rho=2 * p_min - 1, delta=0.0, sigma2=sigma2)


def theorem2_harmonic(
    k: Floats, gap0: Numbers, *, mu: float, L: float, p_min: float, sigma2: float, workers: int = 1, k0: float = 1.0
) -> Floats:
    """Return the bound E V_k <= 9 L sigma^2 / (mu A)^2 (32/k + 1/k^2) + V_0 / (k + 1)^3 (20), A = 2 p_min - 1.

    It is infinite at k = 0. For alpha_k = 3 / (mu A (k + 1)). For M > 1 A is 2 I_p_min(kappa, kappa) - 1 (Remark 7,
    `vote_advantage`). For alpha_k = 3 / (mu A (k + k0)), k0 not 1, it is what the proof of (20) gives once L alpha_k <=
    A/2: (20') of `harmonic_shifted` with rho = A and delta = 0.
    """
    in_range(k=k, gap0=gap0, p_min=p_min, sigma2=sigma2)
    curvatures(mu, L)
    rho = float(vote_advantage(p_min, workers))
    if k0 != 1:
        return harmonic_shifted(k, gap0, mu=mu, L=L, rho=rho, sigma2=sigma2, k0=k0, form="cubic")
    k = _real(k)
    noise = 9 * L * sigma2 / (mu * rho) ** 2
    return _over(32 * noise, k) + _over(noise, k**2) + _over(gap0, (k + 1) ** 3)


def theorem3(
    k: Floats, gap0: Numbers, *, mu: float, L: float, alpha: float, p_min: float, sigma2: float, workers: int
) -> Floats:
    """E V_k <= zeta_2^k V_0 + L sigma^2 alpha^2 / (1 - zeta_2) (21), zeta_2 = 1 - 2 mu alpha (A - L alpha).

    A = 2 I_p_min(kappa, kappa) - 1 (`vote_advantage`), for 0 < alpha < A/L.
    """
    in_range(p_min=p_min, sigma2=sigma2)
    advantage = float(vote_advantage(p_min, workers))
    step(alpha, L, advantage, "(2 I_p_min(kappa, kappa) - 1)")
    return drift_bound(k, gap0, mu=mu, L=L, alpha=alpha, rho=advantage, delta=0.0, sigma2=sigma2)


# The stochastic setting, corrected


def floor_bound(
    k: Floats, gap0: Numbers, *, mu: float, L: float, alpha: float, sigma2: float, workers: int = 1, ties: Ties = "zero"
) -> Floats:
    """Return the bound E V_k <= (1 - mu alpha theta)^k V_0 + sigma^2 / (2 mu theta^2), theta = 1 - L alpha / 2 (C0).

    For 0 < alpha < 2/L, without any assumption on p or independence. For M > 1 (2/phi - 1)^2 sigma^2 takes the place of
    sigma^2, phi = `wrong_share`: 1, 4, 2.8 for M = 2, 3, 4, and always less than 9 (R3).
    """
    in_range(sigma2=sigma2, workers=workers)
    curvatures(mu, L)
    theta = _descent(L, alpha)
    noise = (2 / wrong_share(workers, ties) - 1) ** 2 * sigma2
    return _linear(k, gap0, mu * alpha * theta, noise / (2 * mu * theta**2))


def theorem2_repaired(
    k: Floats, gap0: Numbers, *, mu: float, L: float, alpha: float, p_min: float, sigma2: float
) -> Floats:
    """Return (19) with sigma^2 / 4 added to L sigma^2 alpha, which holds without any independence (C1 with R1)."""
    return theorem3_repaired(k, gap0, mu=mu, L=L, alpha=alpha, p_min=p_min, sigma2=sigma2, workers=1)


def theorem3_repaired(
    k: Floats,
    gap0: Numbers,
    *,
    mu: float,
    L: float,
    alpha: float,
    p_min: float,
    sigma2: float,
    workers: int,
    ties: Ties = "zero",
) -> Floats:
    """Return (21) with delta = sigma^2 / (4 phi) added to L sigma^2 alpha, phi = `wrong_share` (C1 with R1 or R2).

    delta is sigma^2 / 4 for M = 1 and 2, 3/8 sigma^2 for M = 3, and always less than sigma^2 / 2. ties: the rule for
    ties, whose advantage takes the place of 2 I_p_min(kappa, kappa) - 1.
    """
    in_range(p_min=p_min, sigma2=sigma2)
    rho = float(vote_advantage(p_min, workers, ties))
    step(alpha, L, rho, "(2 I_p_min(kappa, kappa) - 1)")
    delta = sigma2 / (4 * wrong_share(workers, ties))
    return drift_bound(k, gap0, mu=mu, L=L, alpha=alpha, rho=rho, delta=delta, sigma2=sigma2)


def theorem2_harmonic_repaired(
    k: Floats, gap0: Numbers, *, mu: float, L: float, p_min: float, sigma2: float, k0: float, workers: int = 1
) -> Floats:
    """Return (20') with R1, or R2 for M > 1: C3, form cubic, with delta = sigma^2 / (4 phi), phi = `wrong_share`.

    For alpha_k = 3 / (mu A (k + k0)), A = 2 I_p_min(kappa, kappa) - 1 and k0 >= max{6 L / (mu A^2), 3}.
    """
    in_range(p_min=p_min)
    rho, delta = float(vote_advantage(p_min, workers)), sigma2 / (4 * wrong_share(workers))
    return harmonic_shifted(k, gap0, mu=mu, L=L, rho=rho, sigma2=sigma2, k0=k0, form="cubic", delta=delta)


def drift_bound(
    k: Floats, gap0: Numbers, *, mu: float, L: float, alpha: float, rho: float, delta: float, sigma2: float
) -> Floats:
    """Return the bound E V_k <= zeta^k V_0 + (delta + L sigma^2 alpha) / (2 mu (rho - L alpha)) (C1).

    zeta = 1 - 2 mu alpha (rho - L alpha) >= 0, 0 < alpha < rho/L, and E[M_k g'v | x] >= rho ||g||_1^2 - delta at every
    reachable x. A smaller rho is also valid, and zeta >= 0 for every alpha when rho <= sqrt(2 L / mu).
    """
    in_range(rho=rho, delta=delta, sigma2=sigma2)
    curvatures(mu, L)
    step(alpha, L, rho, "rho")
    rate = 2 * mu * alpha * (rho - L * alpha)
    require("zeta >= 0", rate <= 1 + ROUNDING, {"zeta = 1 - 2 mu alpha (rho - L alpha)": 1 - rate, "rho": rho})
    return _linear(k, gap0, rate, (delta + L * sigma2 * alpha) / (2 * mu * (rho - L * alpha)))


def harmonic_shifted(
    k: Floats,
    gap0: Numbers,
    *,
    mu: float,
    L: float,
    rho: float,
    sigma2: float,
    c: float = 3.0,
    k0: float | None = None,
    form: Literal["max", "cubic"] = "max",
    delta: float = 0.0,
) -> Floats:
    """Return the bound E V_k for alpha_k = c / (mu rho (k + k0)) under the drift of C1 (C3).

    The first form needs delta = 0.

    "max", for c > 1:   max{k0 V_0, c^2 L sigma^2 / ((c - 1) mu^2 rho^2)} / (k + k0).
    "cubic", for c = 3: (k0/(k + k0))^3 V_0 + (1 + 1/k0)^3 (9 L sigma^2/(2 mu^2 rho^2 (k + k0)) + delta/(mu rho)) (20').

    k0: at least max{2 c L / (mu rho^2), c}, so that L alpha_k <= rho/2; rounded up to a whole number when None.
    """
    in_range(k=k, gap0=gap0, sigma2=sigma2, delta=delta)
    least = shift(mu, L, rho, c)
    k0 = math.ceil(least) if k0 is None else k0
    require("k0 >= max{2 c L/(mu rho^2), c} and finite", least <= k0 < math.inf, {"k0": k0, "least": least})
    require("form is max or cubic", form in ("max", "cubic"), {"form": form})
    noise = L * sigma2 / (mu * rho) ** 2
    if form == "max":
        require("delta = 0 (form max)", delta == 0, {"delta": delta})
        return np.maximum(k0 * np.asarray(gap0), c**2 / (c - 1) * noise) / (_real(k) + k0)
    require("c = 3 (form cubic)", c == 3, {"c": c})
    late = _real(k) + k0
    return (k0 / late) ** 3 * gap0 + (1 + 1 / k0) ** 3 * (4.5 * noise / late + delta / (mu * rho))


def shift(mu: float, L: float, rho: float, c: float = 3.0) -> float:
    """Return the least k0 of C3, max{2 c L / (mu rho^2), c}, not rounded."""
    in_range(rho=rho, c=c)
    curvatures(mu, L)
    return max(2 * c * L / (mu * rho**2), c)


# The flows


def proposition1(t: Floats, gap0: Numbers, *, D1: float, beta: float) -> Floats:
    """Return the bound V(t) <= D_1^2 V(0) / (D_1^2 + V(0) beta t) for (22) and convex f (Proposition 1.1)."""
    in_range(t=t, gap0=gap0, D1=D1, beta=beta)
    return D1**2 * gap0 / (D1**2 + gap0 * beta * _real(t))


def proposition1_gradient(t: Floats, gap0: Numbers, *, beta: float) -> Floats:
    """Return the bound min over s <= t of ||grad f(x(s))||_2 <= sqrt(V(0) / (beta t)) for (22) (Proposition 1.2).

    It is infinite at t = 0.
    """
    in_range(t=t, gap0=gap0, beta=beta)
    return np.sqrt(_over(gap0, beta * _real(t)))


def proposition2(t: Floats, gap0: Numbers, *, D2: float, beta: float) -> Floats:
    """Return the bound V(t) <= V(0) exp(-beta t / D_2) for (23) and convex f (Proposition 2.1)."""
    in_range(t=t, gap0=gap0, D2=D2, beta=beta)
    return np.asarray(gap0 * np.exp(-beta * _real(t) / D2))


def proposition2_gradient(t: Floats, gap0: Numbers, *, beta: float) -> Floats:
    """Return the bound min over s <= t of ||grad f(x(s))||_1 <= V(0) / (beta t) for (23) (Proposition 2.2).

    It is infinite at t = 0.
    """
    in_range(t=t, gap0=gap0, beta=beta)
    return _over(gap0, beta * _real(t))


def _theorem1_rate(mu: float, L: float, alpha: float) -> float:
    curvatures(mu, L)
    return 2 * mu * alpha * _descent(L, alpha)


def _descent(L: float, alpha: float) -> float:
    """Return 1 - L alpha / 2, positive: V_k - V_{k+1} >= alpha (1 - L alpha / 2) ||g_k||_1^2 (31)."""
    step(alpha, L, 2, "2")
    return 1 - L * alpha / 2


def _linear(k: Floats, gap0: Numbers, rate: float, floor: float = 0.0) -> Floats:
    """Return (1 - rate)^k gap0 + floor, to full accuracy for a small rate and a large k."""
    in_range(k=k, gap0=gap0)
    return np.asarray(np.exp(xlog1py(_real(k), -min(rate, 1.0))) * gap0 + floor)


def _real(k: Floats) -> Floats:
    return np.asarray(k, dtype=np.float64)


def _over(numerator: Numbers, denominator: Floats) -> Floats:
    """numerator / denominator, and infinity where the denominator is 0, also for 0 / 0."""
    positive = denominator > 0
    return np.where(positive, numerator / np.where(positive, denominator, 1.0), np.inf)
