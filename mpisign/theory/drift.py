"""Drifts (rho, delta) of C1 that an assumption certifies: E[M_k g'v | x] >= rho ||g||_1^2 - delta at every x.

Below, each worker's stochastic gradient is unbiased (Assumption 4), s its signs and N its l1 norm; p_i = P(s_i =
sign(g_i)) >= p_min at every coordinate with g_i != 0. With one worker M_k = N and v = s. A parameter outside its range,
or NaN, is a ValueError that names the condition.
"""

from typing import NamedTuple

from mpisign.theory.conditions import in_range
from mpisign.theory.vote_moments import Ties, pivot_probability, vote_advantage, wrong_share


class Drift(NamedTuple):
    """E[M_k g'v | x] >= rho ||g||_1^2 - delta."""

    rho: float
    delta: float


def any_noise(sigma2: float, *, theta: float = 1.0, workers: int = 1, ties: Ties = "zero") -> Drift:
    """Return (1 - theta/2, sigma^2 / (2 theta)), for every theta in (0, 1].

    For M > 1 with c^2 sigma^2, c = 2/phi - 1, phi = `vote_moments.wrong_share` (the proofs of C0, R3). g's >= N - xi,
    xi = ||noise||_1, and N xi <= (theta/2) N^2 + xi^2 / (2 theta), so that E[N g's] is at least (1 - theta/2) E N^2 -
    sigma^2 / (2 theta), and E N^2 >= ||g||_1^2. For M > 1, g'v >= M_k - c times mean xi: where v_i is wrong, M_k's part
    is at most mean xi + (1 - 2 phi) |g_i|, and mean xi at least phi |g_i|.
    """
    in_range(sigma2=sigma2, theta=theta, workers=workers)
    noise = (2 / wrong_share(workers, ties) - 1) ** 2 * sigma2
    return Drift(1 - theta / 2, noise / (2 * theta))


def repaired(p_min: float, sigma2: float, workers: int = 1, ties: Ties = "zero") -> Drift:
    """Return (A, sigma^2 / (4 phi)), A = 2 I_p_min(kappa, kappa) - 1 (R1, R2), phi = `vote_moments.wrong_share`.

    (2 p_min - 1, sigma^2 / 4) for one worker. Without any independence. W = sum_i |g_i| w_i / ||g||_1, w_i = 1 where
    the vote is wrong and 1/2 where it is 0, has g'v = ||g||_1 (1 - 2 W). Where a worker's sign is not right
    |g~_i| = |g~_i - g_i| - |g_i|; a share of at least phi of them is not where the vote is wrong, and at least half
    where it is 0. So M_k <= ||g||_1 + mean xi - 2 phi ||g||_1 W. With E W <= (1 - A)/2, q = E W^2 and
    t = ||g||_1 sqrt(q) the drift is at least A ||g||_1^2 + 4 phi t^2 - 2 sigma t >= A ||g||_1^2 - sigma^2 / (4 phi).
    """
    in_range(p_min=p_min, sigma2=sigma2, workers=workers)
    return Drift(float(vote_advantage(p_min, workers, ties)), sigma2 / (4 * wrong_share(workers, ties)))


def sharp(p_min: float, sigma2: float, workers: int = 1) -> Drift:
    """Return the drift with the least delta / rho that p_min and sigma^2 certify (R4): no other has a lower floor.

    For i.i.d. workers and a tie that counts 0 or is tossed for. With e = 1 - p_min, A = 2 I_p_min(kappa, kappa) - 1,
    T = `vote_moments.pivot_probability` at p_min, and for every s >= 4, it is

        rho = A - (T e / s) (s (s - 4) - e (s - 2)^2),    delta = T sigma^2 / s.

    s = 4 gives (A + T e^2, T sigma^2 / 4), for one worker (p_min^2, sigma^2 / 4), and is best for A <= 4 T e p_min;
    otherwise s = 2 + A / (2 T e p_min) is. Where a vote is worth something even with a worker that is known to be
    wrong, A > 2 p_min T, as for M = 3 and p_min > 0.7071, it is (A - 2 p_min T, 0).
    """
    in_range(p_min=p_min, sigma2=sigma2)
    e, advantage = 1 - p_min, float(vote_advantage(p_min, workers))
    pivot = float(pivot_probability(p_min, workers))
    if e == 0:
        return Drift(1.0, 0.0)
    if advantage > 2 * p_min * pivot:
        return Drift(advantage - 2 * p_min * pivot, 0.0)
    s = max(4.0, 2 + advantage / (2 * pivot * e * p_min))
    return Drift(advantage - pivot * e / s * (s * (s - 4) - e * (s - 2) ** 2), pivot * sigma2 / s)


def independent(p_min: float, d: int) -> Drift:
    """Return (2 p_min - 1 + 2 (1 - p_min)/d, 0) for independent coordinates and one worker (C2b); d = 1: (1, 0) (C2a).

    E[N g's] = ||g||_2^2 + sum over i != j of g_i E s_i E|g~_j|, g_i E s_i >= (2 p_min - 1) |g_i|, E|g~_j| >= |g_j|.
    """
    in_range(p_min=p_min, d=d)
    return Drift(2 * p_min - 1 + 2 * (1 - p_min) / d, 0.0)


def symmetric(d: int) -> Drift:
    """Return (1/d, 0) for one worker whose noise at i, given its noise elsewhere, is symmetric about 0; no p_min (C2d).

    The cross terms of `independent` are E[|g~_j| |g_i| sign(g_i) s_i] >= 0, and ||g||_2^2 >= ||g||_1^2 / d.
    """
    in_range(d=d)
    return Drift(1.0 / d, 0.0)


def voted(p_min: float, workers: int) -> Drift:
    """Return (2 I_p_min(kappa, kappa) - 1, 0), as Theorem 3 has it (C2b, C2e).

    The drift is then ||g||_1 E M_k times the vote's advantage. For i.i.d. workers, ties that count 0 or are tossed for,
    and either the norm taken from a second, independent mini-batch, or independent coordinates. In the latter case,
    with e the vote's advantage given one worker's sign, the term of |g~_i| is |g_i| ((e_right + e_wrong)/2 E|g~_i| +
    (e_right - e_wrong)/2 |g_i|), where e_right + e_wrong >= 0, so that it is at least |g_i|^2 e_right; the other terms
    are those of `independent`.
    """
    in_range(p_min=p_min)
    return Drift(float(vote_advantage(p_min, workers)), 0.0)
