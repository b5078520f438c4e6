"""The majority vote at a frozen x: its exact drift (C4), and workers that send the opposite of what they should.

s = sign(g~), N = ||g~||_1, p_i = P(s_i = sign(g_i)); M workers, independent given x and without zero signs; a tied vote
counts 0 or is tossed for. The advantage of a vote is E[sign(g_i) vote_i]; M_k and v are the mean norm and the vote.
"""

from math import comb
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import betainc
from scipy.stats import binom

from mpisign.arrays import Floats
from mpisign.theory.conditions import in_range, require
from mpisign.theory.noise import FiniteDistribution

Numbers = float | Floats
Ties = Literal["zero", "coin", "plus-positive", "plus-negative"]
"""What a tied vote counts."""


def beta_half(p: Numbers, workers: int) -> Floats:
    """Return I_p(kappa, kappa), kappa = floor((M + 1) / 2) (Theorem 3).

    For odd M, P(the vote is right) without zero signs.
    """
    in_range(p=p, workers=workers)
    kappa = (workers + 1) // 2
    return np.asarray(betainc(kappa, kappa, p), dtype=np.float64)[()]


def vote_advantage(p: Numbers, workers: int, ties: Ties = "zero") -> Floats:
    """E[sign(g_i) vote_i] of M independent workers, each right with probability p, otherwise wrong (no zero signs).

    2 I_p(kappa, kappa) - 1 where a tie counts 0 ("zero") or is tossed for ("coin"). When ties become +1 it is
    C(M, M/2) (p (1-p))^(M/2) more where g_i > 0 ("plus-positive") and as much less where g_i < 0 ("plus-negative").
    """
    advantage, counts = 2 * beta_half(p, workers) - 1, _tie(ties)
    tied = 0.0 if workers % 2 else binom.pmf(workers // 2, workers, p)
    return np.asarray(advantage + counts * tied)[()]


def wrong_share(workers: int, ties: Ties = "zero") -> float:
    """Return phi, the least share of M workers whose signs are not right at a coordinate where the vote is wrong.

    (floor(M/2) + 1) / M; 1/2 for an even M where a tie can become wrong.
    """
    in_range(workers=workers)
    _tie(ties)
    return 0.5 if workers % 2 == 0 and ties != "zero" else (workers // 2 + 1) / workers


def _tie(ties: Ties) -> int:
    """Return what a tie adds to the advantage."""
    signs = {"zero": 0, "coin": 0, "plus-positive": 1, "plus-negative": -1}
    require("ties is one of " + ", ".join(signs), ties in signs, {"ties": ties})
    return signs[ties]


class Moments(NamedTuple):
    """What the drift at x depends on: p_i, shape (d,); E N; Cov(N, sign(g_i) s_i), shape (d,)."""

    p: Floats
    norm: float
    covariance: Floats


class VoteDrift(NamedTuple):
    """E[M_k g'v | x], exactly; and were norms and signs independent, as Theorem 3's proof has it."""

    exact: float
    independent: float


def moments(gradient: Floats, law: FiniteDistribution) -> Moments:
    """Of g~ = g + noise with a finite law, by enumeration; gradient: (d,). ValueError for a zero g_i or g~_i."""
    samples = gradient + law.atoms
    _nonzero(gradient, samples)
    right, norms = np.sign(samples) * np.sign(gradient), np.abs(samples).sum(axis=1)
    mean, norm = law.weights @ right, float(law.weights @ norms)
    return Moments((1 + mean) / 2, norm, law.weights @ (right * norms[:, None]) - mean * norm)


def three_point(gradient: Floats, *, size: float, q: float) -> Moments:
    """Of g~ = g + independent noise, +-size with probability q <= 1/2 each, else 0; gradient: (d,).

    For independent coordinates Cov(N, sign(g_i) s_i) is that of |g~_i| alone, |g_i| - (2 p_i - 1) E|g~_i|. Raises
    ValueError for another q, for a zero g_i, and for |g_i| = size, where g~_i can be 0.
    """
    require("0 < q <= 1/2", 0 < q <= 0.5, {"q": q})
    noise, weights = np.array([-size, size, 0.0])[:, None], np.array([q, q, 1 - 2 * q])
    samples = gradient + noise
    _nonzero(gradient, samples)
    p, absolute = weights @ (samples * gradient > 0), weights @ np.abs(samples)
    return Moments(p, float(absolute.sum()), np.abs(gradient) - (2 * p - 1) * absolute)


def vote_drift(gradient: Floats, known: Moments, workers: int) -> VoteDrift:
    """Return sum_i |g_i| (A_M(p_i) E N + T_M(p_i) Cov(N, sign(g_i) s_i)) (C4), and that without the covariance.

    gradient: (d,). known: the `moments` of a worker's g~ at the same gradient. workers: M.
    """
    advantage = vote_advantage(known.p, workers)
    sizes = np.abs(gradient)
    independent = float(sizes @ advantage * known.norm)
    return VoteDrift(independent + float(sizes @ (pivot_probability(known.p, workers) * known.covariance)), independent)


def pivot_probability(p: Numbers, workers: int) -> Floats:
    """Return T_M(p), half of what the advantage gains when one worker's sign turns from wrong to right (C4).

    C(M-1, n) (p (1-p))^n, n = (M-1)/2, for odd M; C(M-1, M/2) (p (1-p))^(M/2 - 1) / 2 for even M.
    """
    in_range(p=p, workers=workers)
    both = np.asarray(p) * (1 - np.asarray(p))
    ways = comb(workers - 1, workers // 2)
    if workers % 2:
        return np.asarray(ways * both ** ((workers - 1) // 2))[()]
    return np.asarray(ways * both ** (workers // 2 - 1) / 2)[()]


def flipped_advantage(p: float, workers: int, flipped: int) -> float:
    """Return the vote's advantage when `flipped` of the workers send -g~: P(S > 0) - P(S < 0), S the sum of the signs.

    S counts M - B workers that are right with probability p and B with 1 - p: two binomials, convolved.
    """
    _flipped(workers, flipped)
    in_range(p=p)
    honest = binom.pmf(np.arange(workers - flipped + 1), workers - flipped, p)
    right = np.convolve(honest, binom.pmf(np.arange(flipped + 1), flipped, 1 - p))
    return float(np.sign(2 * np.arange(workers + 1) - workers) @ right)


def mean_probability(p: float, workers: int, flipped: int) -> float:
    """Return (1 - B/M) p + (B/M) (1 - p): how often a worker is right on average.

    A_M of it is not the exact advantage.
    """
    _flipped(workers, flipped)
    in_range(p=p)
    return (1 - flipped / workers) * p + flipped / workers * (1 - p)


def _flipped(workers: int, flipped: int) -> None:
    in_range(workers=workers)
    require("0 <= flipped <= workers", 0 <= flipped <= workers, {"flipped": flipped, "workers": workers})


def _nonzero(gradient: Floats, samples: Floats) -> None:
    zero = not (gradient.all() and samples.all())
    require("no g_i and no g~_i is 0", not zero, {"gradient": gradient})
