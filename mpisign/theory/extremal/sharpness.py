"""How sharp the floors of Theorems 2 and 3 are: the least floor that p_min and sigma^2 allow, by a formula and an LP.

The floor of a problem with an oracle is lim sup E V_k over k, and then its limit as the constant step alpha tends to 0.
Everything here is in units of sigma^2 / mu, for M i.i.d. workers and a tie that counts 0 or is tossed for. Only the
ratio of G = ||g||_1 to sigma matters, so that G = 1.

With E N >= 1, E W <= e = 1 - p_min, W the share of g that a worker has not right, weighted by |g_i|, and N its norm,
C4 and the monotonicity of votes give a drift D >= E[N ((1 - W) e_+ + W e_-)] = 2 T E[N (W_0 - W)], e_+- = A + T (+-1 -
(2 p_min - 1)), W_0 = e_+ / (2 T). Least over all laws with D <= 0 is

    S = E xi^2 = 4 t + 4 e w + t^2 / (e (w - e)),    t = W_0 - e = A / (2 T),    w = min{1, e + t / (2 e)},

and the floor is 1 / (2 S): larger it cannot be (C1 with `drift.sharp`), and oracles come as near to it as one likes
(`example`, with more and more coordinates). It is 0 where e_- > 0. For M = 1 it is 1 / (8 p_min^2), or for p_min above
0.809 2 e p_min / (1 + 4 e p_min). docs/audit/theorems.md has the proofs.

`linear_program` is S for d coordinates with equal g_i, without any of this: D, unbiasedness and p_min are linear in the
law of g~, E xi^2 is convex given the signs, and as the problem is the same for any order of the coordinates a law needs
one atom for each number of wrong signs. A square is replaced by tangents, which gives a limit from above of the floor;
the law that is found gives one from below.
"""

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog

from mpisign.arrays import Floats
from mpisign.theory.certificates.laws import Number, Outcome
from mpisign.theory.conditions import in_range, require
from mpisign.theory.drift import sharp
from mpisign.theory.vote_moments import pivot_probability, vote_advantage

_ROUNDS = 60
"""Most rounds of tangents."""

_PRESENT = 1e-9
"""An atom of less probability is none."""


class Law(NamedTuple):
    """A law of a worker's (N, W) with two atoms: (`right`, 0), and (`wrong`, `share`) with probability `chance`.

    variance: E xi^2, where E N = 1, E W = e and D = 0.
    """

    share: Number
    chance: Number
    right: Number
    wrong: Number
    variance: Number


class Bracket(NamedTuple):
    """Limits of a floor: a law that was found attains `low`, and none has more than `high`."""

    low: float
    high: float


def floor(p_min: float, workers: int = 1) -> float:
    """Return the least floor that p_min and sigma^2 allow, for all problems of all dimensions."""
    found = sharp(p_min, 1.0, workers)
    return found.delta / (2 * found.rho)


def two_atoms(p_min: Number, share: Number, turning: Number) -> Law:
    """Return the law with W = 0 or W = `share` that has E N = 1, E W = e and D = 0; exact for fractions.

    Args:
        p_min: Below 1.
        share: w, at least W_0 and at most 1.
        turning: W_0, the share beyond which a step is expected to go the wrong way (`turning_share`).
    """
    e = 1 - p_min
    require("W_0 <= share <= 1", turning <= share <= 1, {"share": share, "W_0": turning})
    excess = turning - e
    variance = 4 * excess + 4 * e * share + excess**2 / (e * (share - e))
    return Law(share, e / share, (share - turning) / (share - e), turning / e, variance)


def turning_share(p_min: float, workers: int = 1) -> float:
    """Return W_0 = e + A / (2 T); from 1 on no law has a drift that is not positive."""
    in_range(p_min=p_min, workers=workers)
    pivot = float(pivot_probability(p_min, workers))
    return 1 - p_min + float(vote_advantage(p_min, workers)) / (2 * pivot) if pivot > 0 else math.inf


def best_share(p_min: float, d: int, workers: int = 1) -> Fraction | None:
    """Return the share j/d < 1 with the largest floor of two atoms; None if none has a drift that is not positive."""
    in_range(d=d)
    turning = turning_share(p_min, workers)
    shares = [Fraction(j, d) for j in range(1, d) if j / d >= turning]
    return min(shares, key=lambda share: two_atoms(p_min, float(share), turning).variance, default=None)


def example_floor(p_min: float, d: int, workers: int = 1) -> float:
    """Return the floor of `example` with d coordinates, as h tends to 0; for M = 1 and d = 2 the paired oracle's."""
    share = best_share(p_min, d, workers)
    if p_min == 1 or share is None:
        return 0.0
    return float(1 / (2 * two_atoms(p_min, float(share), turning_share(p_min, workers)).variance))


def example(p_min: Number, share: Fraction, turning: Number, h: Number) -> list[Outcome]:
    """Return the law of `two_atoms` for g = (1/d, ..., 1/d), d the denominator of the share; exact for fractions.

    Where W = `share`, the wrong coordinates are any d * share neighbours, of size h each, the others are equal; where
    W = 0 all are equal. It is unbiased, every sign is right with probability p_min, and E xi^2 and D are those of
    `two_atoms` up to a multiple of h.
    """
    law, d, wrong = two_atoms(p_min, share, turning), share.denominator, share.numerator
    large = law.wrong / (d - wrong)
    # what is left for W = 0, so that each coordinate has mean 1/d
    rest = (Fraction(1, d) - law.chance * ((1 - share) * large - share * h)) / (1 - law.chance)
    outcomes = [Outcome(1 - law.chance, (rest,) * d)]
    for first in range(d):
        values = [-h if (i - first) % d < wrong else large for i in range(d)]
        outcomes.append(Outcome(law.chance / d, tuple(values)))
    return outcomes


def linear_program(p_min: float, d: int, workers: int = 1, *, close: float = 1e-6) -> Bracket:
    """Return limits of the worst floor where g has d equal coordinates, by linear programs with more and more tangents.

    A floor of 0: no law has a drift that is not positive.

    Args:
        p_min: Least probability of a right sign.
        d: Number of coordinates.
        workers: M.
        close: Relative gap of the limits at which no more tangents are added.
    """
    in_range(p_min=p_min, d=d, workers=workers)
    shares = np.arange(d + 1) / d
    touched = np.tile(np.geomspace(0.05, 4 * d / max(1 - p_min, 1e-3), 24), (d + 1, 1))
    solved = _solve(p_min, workers, shares, touched) if p_min < 1 else None
    low, high = 0.0, 0.0 if solved is None else math.inf  # tangents never make a program infeasible
    for _ in range(_ROUNDS):
        if solved is None:  # in a later round: too many tangents that are nearly the same
            break
        variance, least, sizes = solved
        low, high = max(low, 1 / (2 * variance)), min(high, 1 / (2 * least))
        if high <= low * (1 + close):
            break
        touched = np.column_stack([touched, sizes])
        solved = _solve(p_min, workers, shares, touched)
    return Bracket(low, high)


def _solve(p_min: float, workers: int, shares: Floats, touched: Floats) -> tuple[float, float, Floats] | None:
    """Solve the linear program with the tangents that touch xi^2 at `touched`, shape (n, tangents).

    The variables are, for each of the n shares W, the probability q, q R and q B, the l1 norm of the right and of the
    wrong coordinates, q xi and at least q xi^2.

    Returns:
        E xi^2 of the law that is found, a lower limit of it for all laws, and xi at each share; None if there is none.
    """
    n = len(shares)
    inequalities, limits = _inequalities(p_min, workers, shares, touched)
    equalities = np.zeros((2, 5 * n))
    equalities[0, :n], equalities[1, n : 2 * n], equalities[1, 2 * n : 3 * n] = 1, 1, -1  # sum of q; E(R - B) = 1
    least = np.concatenate([np.zeros(4 * n), np.ones(n)])
    bounds: list[tuple[float, float | None]] = [(0.0, None)] * (5 * n)
    bounds[2 * n - 1] = bounds[2 * n] = (0.0, 0.0)  # no coordinate is right where W = 1, none wrong where W = 0
    found = linprog(least, A_ub=inequalities, b_ub=limits, A_eq=equalities, b_eq=[1, 1], bounds=bounds)
    if found.status != 0 or found.x is None or found.fun is None:
        return None
    q, right, wrong = found.x[: 3 * n].reshape(3, n)
    total = wrong + q * shares + np.abs(right - q * (1 - shares))
    sizes = np.divide(total, q, out=np.ones(n), where=q > _PRESENT)
    return float(total @ sizes), float(found.fun), sizes


def _inequalities(p_min: float, workers: int, shares: Floats, touched: Floats) -> tuple[Floats, Floats]:
    """Return the matrix and the limits of what is at most 0, and E W at most e."""
    one, none = np.eye(len(shares)), np.zeros((len(shares), len(shares)))
    rest, own = np.diag(1 - shares), np.diag(shares)
    advantage, pivot = float(vote_advantage(p_min, workers)), float(pivot_probability(p_min, workers))
    drift = advantage + 2 * pivot * (1 - p_min - shares)  # (1 - W) e_+ + W e_-
    blank = np.zeros(len(shares))
    rows = [
        np.hstack([own - rest, one, one, -one, none]),  # B + W + R - (1 - W) <= xi
        np.hstack([own + rest, -one, one, -one, none]),  # B + W - R + (1 - W) <= xi
        *(np.hstack([-np.diag(c * c), none, none, 2 * np.diag(c), -one]) for c in touched.T),  # 2 c xi - c^2 <= xi^2
        np.concatenate([blank, drift, drift, blank, blank])[None],
        np.concatenate([shares, *[blank] * 4])[None],
    ]
    matrix = np.vstack(rows)
    return matrix, np.append(np.zeros(len(matrix) - 1), 1 - p_min)
