"""How large V_k / V_0 of scaled signGD (14) can be under Assumptions 1 and 3, beside zeta^k of Theorem 1.

(16) multiplies the worst case of one step, and from k = 2 on no f attains it (docs/audit/beyond-one-step.md, where
everything here is derived). `repeated` and `overshot` are limits that are approached by functions of the class in two
dimensions, `line_rate` is the worst case in one, and `relaxed` searches an upper limit.

In two dimensions, with u = (x_1 + x_2)/2 and v = (x_1 - x_2)/2, a step of (14) with g_1 and g_2 not 0 moves only the
coordinate with the larger derivative: (14) is coordinate descent by the rule of Gauss and Southwell.

Every function scales with f: it depends on mu / L and L alpha alone.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import permutations, product
from typing import Any

import numpy as np
import scipy  # its parts are imported when they are used

from mpisign.arrays import Floats
from mpisign.theory.bounds import zeta
from mpisign.theory.certificates.laws import Vector
from mpisign.theory.certificates.quadratics import Matrix, times
from mpisign.theory.conditions import require

Pattern = tuple[tuple[int, int], ...]
"""The signs of the two entries of g_0, ..., g_{k-1}."""

_SIGNS = tuple((a, b) for a in (1, 0, -1) for b in (1, 0, -1) if a or b)
_FEASIBLE = 1e-7
"""A point of the search counts if no condition fails by more, V_0 being 1."""


def line_rate(mu: float, L: float, alpha: float) -> float:
    """Return max{|1 - alpha mu|, |1 - alpha L|}^2, the worst V_{k+1} / V_k in one dimension, where (14) is GD.

    Attained in every step by mu x^2/2 or L x^2/2; A. Taylor, J. Hendrickx and F. Glineur, Exact worst-case convergence
    rates of the proximal gradient method for composite convex minimization, J. Optim. Theory Appl. 178 (2018).
    """
    zeta(mu, L, alpha)  # refuses what Theorem 1 excludes
    return max(abs(1 - alpha * mu), abs(1 - alpha * L)) ** 2


def repeated(k: int, mu: float, L: float, alpha: float) -> float:
    """Return zeta (1 - alpha mu)^(2 (k - 1)), which V_k / V_0 can come as near to as one likes, for d = 2 and k >= 1.

    g_2 = 0 up to the last step but one, so that sign(0) = 0 leaves GD in x_1 with curvature mu; in the last step g_2
    is tiny, its sign is 1, and x_2 moves as far as x_1.
    """
    require("k >= 1", k >= 1, {"k": k})
    _two_dimensions(mu, L)
    return float(zeta(mu, L, alpha) * (1 - alpha * mu) ** (2 * (k - 1)))


def overshot(mu: float, L: float, alpha: float) -> float:
    """Return zeta Y / (mu/L + (1 - mu/L) Y), Y = (1 - L alpha)^2: V_2 / V_0 where a step too long is taken back.

    The limit of `overshot_instance`, for L alpha > 1; below, 0. It is the most that is left where sign g_1 = -sign g_0.
    """
    _two_dimensions(mu, L)
    ratio, left = mu / L, (1 - L * alpha) ** 2
    return zeta(mu, L, alpha) * left / (ratio + (1 - ratio) * left) if L * alpha > 1 else 0.0


def without_zeros(mu: float, L: float, alpha: float) -> float:
    """Return X (1 + c Y) / (1 + c X), X = (1 - L alpha c)^2, Y = (1 - L alpha)^2, c = mu/(L - mu), for L alpha <= 1.

    V_2 / V_0 comes as near to it as one likes on (u^2 + c v^2)/2, L = 1, where the first step moves v and the second u,
    and no g has a zero. It is less than `repeated`, which needs g_2 = 0 exactly.
    """
    _two_dimensions(mu, L)
    require("0 < L alpha <= 1", 0 < L * alpha <= 1, {"L alpha": L * alpha})
    c = mu / (L - mu)
    first, second = (1 - L * alpha * c) ** 2, (1 - L * alpha) ** 2
    return first * (1 + c * second) / (1 + c * first)


def two_steps(mu: float, L: float, alpha: float) -> float:
    """Return the larger of `repeated` for k = 2 and `overshot`: a lower limit of the worst V_2 / V_0, below zeta^2.

    It is the most that is left where sign g_1 = sign g_0 or -sign g_0, without zeros.
    """
    return max(repeated(2, mu, L, alpha), overshot(mu, L, alpha))


def best_step(mu: float, L: float) -> float:
    """Return the alpha where `repeated` and `overshot` meet for k = 2, between 1/L, which minimises (16), and 3/(2L).

    `two_steps` is least there. From mu/L near 0.28 on other f leave more than `two_steps` at this step.
    """

    def excess(step: float) -> float:
        return repeated(2, mu, L, step / L) - overshot(mu, L, step / L)

    return float(scipy.optimize.brentq(excess, 1.0, 1.6)) / L


def repeated_instance(mu: Fraction, epsilon: Fraction) -> tuple[Matrix, Vector]:
    """Return H and x_0 of f = x'Hx/2 with L = 1 whose second step is as in `repeated` up to O(epsilon).

    g_0 = (g, 0), and g_1 has a second entry of the order of epsilon. H's own mu is less by the order of epsilon^2.
    """
    rest = 1 - mu - 2 * epsilon
    return ((mu, epsilon), (epsilon, rest)), (rest, -epsilon)


def overshot_instance(mu: Fraction, alpha: Fraction, epsilon: Fraction) -> tuple[Matrix, Vector]:
    """Return H and x_0 of f = x'Hx/2 with L = 1 and this mu, in u and v (u^2 + c v^2)/2, c = mu/(1 - mu).

    df/du = 1 at x_0 and 1 - alpha after the first step; df/dv = (1 - epsilon)(alpha - 1) in both, which is less.
    """
    c = mu / (1 - mu)
    u, v = Fraction(1), (1 - epsilon) * (alpha - 1) / c
    return (((1 + c) / 4, (1 - c) / 4), ((1 - c) / 4, (1 + c) / 4)), (u + v, u - v)


def tight_instance(mu: Fraction, epsilon: Fraction) -> tuple[Matrix, Vector]:
    """Return H = diag(mu, 1 - mu) and x_0 with g_0 = (1, epsilon): V_1 / V_0 is zeta up to O(epsilon)."""
    rest = 1 - mu
    return ((mu, Fraction(0)), (Fraction(0), rest)), (1 / mu, epsilon / rest)


def gap_ratio(matrix: Matrix, start: Sequence[Fraction], alpha: Fraction, k: int) -> Fraction:
    """Return V_k / V_0 of (14) on x'Hx/2 from x_0 in fractions, with sign(0) = 0."""
    x = tuple(start)
    for _ in range(k):
        g = times(matrix, x)
        length = alpha * sum((abs(a) for a in g), Fraction(0))
        x = tuple(a - length * ((b > 0) - (b < 0)) for a, b in zip(x, g, strict=True))
    return _form(matrix, x) / _form(matrix, start)


def worst_quadratic(k: int, mu: float, L: float, alpha: float, seed: int = 0) -> float:
    """Return the largest V_k / V_0 that a search finds over the f = x'Hx/2 in two dimensions with these mu and L.

    Differential evolution over H (in u and v its diagonal is 1 and C) and the direction of g_0, where no g has a zero:
    a lower limit of the worst case. Starts with g_2 = 0 are a null set, which it cannot meet.
    """
    _two_dimensions(mu, L)
    ratio, step = mu / L, L * alpha

    def negated(z: Floats) -> Floats:
        return -_quadratic_ratio(k, ratio, step, z)

    box = [(0.0, 1.0), (-1.0, 1.0), (0.0, np.pi)]
    evolve: Any = scipy.optimize.differential_evolution  # its types know no vectorized function
    found = evolve(
        negated, box, popsize=40, maxiter=100, tol=0.0, polish=False, vectorized=True, updating="deferred", rng=seed
    )
    return float(-found.fun)


def _quadratic_ratio(k: int, mu: float, alpha: float, z: Floats) -> Floats:
    """Return V_k / V_0, shape (n,), for z, shape (3, n): C from c = mu/(1 - mu) to 1, B within what mu leaves, angle.

    f = (u^2 + 2 B u v + C v^2)/2 has 1/mu = (1 + C + 2 |B|)/(C - B^2) in the norm |u| + |v|, and L = 1.
    """
    c = mu / (1 - mu)
    C = c + (1 - c) * z[0] ** 3
    B = z[1] * (np.sqrt(np.maximum(mu**2 - mu * (1 + C) + C, mu**2)) - mu)
    p, q = np.cos(z[2]), np.sin(z[2])

    def gap(p: Floats, q: Floats) -> Floats:
        return np.asarray((C * p * p - 2 * B * p * q + q * q) / (C - B * B))

    first = gap(p, q)
    for _ in range(k):
        along = np.abs(p) > np.abs(q)
        p, q = (
            np.where(along, (1 - alpha) * p, p - alpha * B * q),
            np.where(along, q - alpha * B * p, q - alpha * C * q),
        )
    return np.asarray(gap(p, q) / first)


def relaxed(
    k: int, mu: float, L: float, alpha: float, starts: int = 8, seed: int = 0, zeros: bool = True
) -> tuple[float, Pattern]:
    """Return the largest V_k / V_0 found under conditions that every f of the class meets, and the signs there.

    Performance estimation in two dimensions: x_0, f and g at x_0, ..., x_k are free, x* = 0 and f* = 0. f - mu x_c^2/2
    is convex and (L - mu)-smooth for c = 1, 2, so that for any two points i, j, with D = x_i - x_j and E = g_i - g_j,

        f_i >= f_j + g_j'D + mu/2 D_c^2 + ||E - mu D_c e_c||_1^2 / (2 (L - mu)).

    The maximum is at least the worst case, as the conditions are necessary. It is searched by SLSQP from `starts`
    points for each pattern of signs: what is found is a maximum by experience, and no certificate.

    Args:
        k: Number of steps.
        mu: Assumption 1's.
        L: Assumption 3's.
        alpha: The step size.
        starts: Climbs for each pattern.
        seed: Of the random starts.
        zeros: Whether an entry of g_0, ..., g_{k-1} may be 0.

    Returns:
        V_k / V_0, and the signs of g_0, ..., g_{k-1} there.
    """
    _two_dimensions(mu, L)
    generator = np.random.default_rng(seed)
    best, where = 0.0, ((1, 1),) * k
    for first, *rest in product(_SIGNS, repeat=k):
        pattern = (first, *rest)
        if first not in ((1, 1), (1, 0)) or not (zeros or np.all(pattern)):  # the others are these, reflected
            continue
        found = max(_Relaxation(mu / L, L * alpha, pattern).climbed(generator) for _ in range(starts))
        if found > best + _FEASIBLE:
            best, where = found, pattern
    return best, where


class _Relaxation:
    """The conditions for one pattern of signs, L = 1 and V_0 = 1; z has x_0, g_0, ..., g_k, and V_1, ..., V_k."""

    def __init__(self, mu: float, alpha: float, pattern: Pattern) -> None:
        self._mu, self._alpha, self._signs = mu, alpha, np.array(pattern, dtype=float)
        self._k = len(pattern)
        self._i, self._j = np.array(list(permutations(range(self._k + 2), 2))).T

    def climbed(self, generator: np.random.Generator) -> float:
        """Return the V_k where a climb from a random start ends, or 0 where a condition fails there."""
        objective = np.zeros(4 + 3 * self._k)
        objective[-1] = -1.0
        conditions = [{"type": "ineq", "fun": self._slacks}]
        if not self._signs.all():
            conditions.append({"type": "eq", "fun": lambda z: self._gradients(z)[:-2][self._signs == 0]})
        minimize: Any = scipy.optimize.minimize  # its types know no gradient of any length
        end = minimize(
            lambda z: float(objective @ z),
            self._start(generator),
            jac=lambda z: objective,
            constraints=conditions,
            method="SLSQP",
            options={"maxiter": 300, "ftol": 1e-11},
        ).x
        return float(end[-1]) if self._slacks(end).min() > -_FEASIBLE else 0.0

    def _start(self, generator: np.random.Generator) -> Floats:
        gradients = np.vstack([np.abs(generator.normal(size=(self._k, 2))) * self._signs, generator.normal(size=2)])
        gaps = np.sort(generator.random(self._k))[::-1]
        return np.concatenate([generator.normal(size=2) / np.sqrt(self._mu), gradients.ravel(), gaps])

    def _gradients(self, z: Floats) -> Floats:
        """Return g_0, ..., g_k and g* = 0, shape (k + 2, 2)."""
        return np.vstack([z[2 : 4 + 2 * self._k].reshape(-1, 2), np.zeros(2)])

    def _slacks(self, z: Floats) -> Floats:
        """Return what must not be negative: the conditions of every pair, and the signs."""
        g = self._gradients(z)
        steps = self._alpha * (self._signs * g[:-2]).sum(axis=1, keepdims=True) * self._signs
        x = np.vstack([z[:2], z[:2] - np.cumsum(steps, axis=0), np.zeros(2)])
        gaps = np.concatenate([[1.0], z[4 + 2 * self._k :], [0.0]])
        D, E = x[self._i] - x[self._j], g[self._i] - g[self._j]
        bregman = gaps[self._i] - gaps[self._j] - (g[self._j] * D).sum(axis=1)
        slacks = [(self._signs * g[:-2]).ravel()]
        for c in range(2):
            less = E - self._mu * D * np.eye(2)[c]
            for norm in (less[:, 0] + less[:, 1], less[:, 0] - less[:, 1]):  # ||.||_1 is the larger of their sizes
                slacks.append(bregman - self._mu / 2 * D[:, c] ** 2 - norm**2 / (2 * (1 - self._mu)))
        return np.concatenate(slacks)


def _two_dimensions(mu: float, L: float) -> None:
    """Require mu < L/2: for d = 2 Assumptions 1 and 3 imply mu <= L/2, with equality for mu ||x - x*||^2/2 only."""
    require("0 < mu < L/2 (two dimensions)", 0 < 2 * mu < L, {"mu": mu, "L": L})


def _form(matrix: Matrix, x: Sequence[Fraction]) -> Fraction:
    return sum((a * b for a, b in zip(x, times(matrix, x), strict=True)), Fraction(0))
