"""PL constants in the 1-norm (Assumption 2): of x'Hx / 2, and of Example 4's function, summed over coordinates."""

import math
from itertools import combinations

import numpy as np
import scipy  # its parts are imported when they are used
from numpy.typing import NDArray

from mpisign.arrays import Floats
from mpisign.theory.constants import Constant
from mpisign.theory.definiteness import inverse_diagonal, rank_of_semidefinite
from mpisign.theory.smoothness import scaled

_RANK = 1e-12
"""Where no rank is certain an eigenvalue is positive if it is more than this part of the largest; nothing is exact."""
_FEW = 32
"""Up to this d an ill-conditioned matrix is inverted exactly."""
_MANY = 10**7
"""Numbers of the minimal supports, up to which they are enumerated."""
_EXACT = 1e-9
"""A rounding error that is as small as this, relatively, leaves a constant exact."""
_EPSILON = float(np.finfo(np.float64).eps)


def pl_constant(hessian: Floats) -> Constant | None:
    """Return the largest mu with ||Hx||_1^2 >= mu x'Hx for all x; H, shape (d, d), positive semidefinite and not 0.

    With g = Hx it is 1 / max{g'H^+ g : ||g||_1 <= 1, g in the range of H}. A convex function is largest at a vertex.
    For a definite H those are the +-e_i: mu = 1 / max_i (H^-1)_ii, which is also the constant of Assumption 1. For a
    singular one, 1 / max_i (H^+)_ii is a lower limit, and mu itself if e_i is in the range for the i that attains it.
    Otherwise the vertices are the g of minimal support, enumerated where they are few.

    "exact" where that is known, to 1e-9; else "lower". None where an eigenvalue is lost in rounding.
    """
    matrix, scale = scaled(hessian)
    values, vectors = scipy.linalg.eigh(matrix)
    rank = rank_of_semidefinite(hessian)
    kept = rank if rank is not None else int((values > _RANK * values[-1]).sum())
    if kept == len(matrix) <= _FEW and values[0] <= 1e-6 * values[-1]:
        return Constant(float(1 / max(inverse_diagonal(hessian))), "exact")
    values, null, vectors = values[-kept:], vectors[:, :-kept], vectors[:, -kept:]
    rounding = 8 * len(matrix) * _EPSILON * float(values[-1] / values[0])
    if not 0 < rounding < 0.5:
        return None
    largest, attained = _largest_product((vectors / values) @ vectors.T, null)
    if rank is not None and attained and rounding <= _EXACT:
        return Constant(scale / largest, "exact")
    return Constant(scale / largest * (1 - rounding), "lower")


def _largest_product(inverse: Floats, null: Floats) -> tuple[float, bool]:
    """max g'H^+ g over the g of the l1 ball in the range of H, or an upper limit of it, and whether it is attained."""
    i = int(inverse.diagonal().argmax())
    if np.linalg.norm(null[i]) < _RANK:
        return float(inverse[i, i]), True
    if math.comb(len(null), null.shape[1] + 1) * (null.shape[1] + 1) ** 2 <= _MANY:
        return _largest_at_a_vertex(inverse, null), True
    return float(inverse[i, i]), False


def _largest_at_a_vertex(inverse: Floats, null: Floats) -> float:
    """Return max g'H^+ g over the g of the l1 sphere with null'g = 0 and minimal support; null: (d, k), of rank k.

    Each such g spans the null space of k + 1 rows of `null` that have rank k; rows of a smaller rank give some other g
    of the range, which does no harm.
    """
    d, k = null.shape
    supports = np.array(list(combinations(range(d), k + 1)))
    vertices = np.linalg.svd(null[supports].transpose(0, 2, 1))[2][:, -1]
    vertices /= np.abs(vertices).sum(axis=1, keepdims=True)
    blocks = inverse[supports[:, :, None], supports[:, None, :]]
    return float(np.einsum("ni,nij,nj->n", vertices, blocks, vertices).max())


_NEAR, _FAR = 0.5, 8.0


def pl_constant_of_toy(frequencies: Floats) -> Constant | None:
    """Return the PL constant of f(x) = sum_i x_i^2 + 3 sin^2(omega_i x_i), `frequencies` omega_i > 0.

    Returns None if none is known. (sum |g_i|)^2 >= sum g_i^2 >= 2 min_i mu(omega_i) f, with equality for an x of one
    coordinate: it is the least mu(omega) = inf f'^2 / (2 f) on the line. With s = omega x and k = omega^2, f = (s^2 + 3
    k sin^2 s) / k and mu(omega) = inf N^2 / (2 D), N = 2 s + 3 k sin 2s, D = s^2 + 3 k sin^2 s. There is none once N
    has a zero beside 0, for omega > 1.2387. The least value found is lowered a little until it is certified.
    """
    k = np.unique(np.square(np.minimum(frequencies, 2.0)))  # beyond 1.2387 one is as bad as another
    found = _least_ratio(k)
    for slack in (1e-12, 1e-9, 1e-6, 1e-3):
        if _is_below_all_ratios(k, found * (1 - slack)):
            return Constant(found * (1 - slack), "lower")
    return None


def _terms(s: Floats, k: Floats) -> tuple[Floats, Floats]:
    """Return N and D."""
    return 2 * s + 3 * k * np.sin(2 * s), s**2 + 3 * k * np.sin(s) ** 2


def _least_ratio(k: Floats) -> float:
    """Return the least N^2 / (2 D) that is found; at most 2, its limit at infinity."""

    def ratio(s: Floats) -> Floats:
        top, bottom = _terms(s, k)
        values: Floats = (top**2 / (2 * bottom)).min(axis=-1)
        return values

    grid = np.linspace(_NEAR, _FAR, 1500)
    start = grid[ratio(grid[:, None]).argmin()]
    near = scipy.optimize.minimize_scalar(
        lambda s: float(ratio(np.array(s))),
        bounds=(start - 0.01, start + 0.01),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return min(float(near.fun), 2.0)


def _is_below_all_ratios(k: Floats, mu: float) -> bool:
    """Return True only if N^2 / (2 D) >= mu for all s > 0 and every k; 0 < mu < 2.

    For s <= 1/2, N >= s (2 + 5 k) and D <= s^2 (1 + 3 k), so that the ratio is at least 2. For s >= 8 and 3 k < 16 it
    is at least (2 s - 3 k)^2 / (2 (s^2 + 3 k)), which increases with s. Between, phi = N^2 - 2 mu D is shown to be
    positive on cells of radius r, by phi >= phi(centre) - |phi'(centre)| r - max |phi''| r^2 / 2, and halving.
    """
    if not 0 < mu < 2 or 3 * k[-1] >= 2 * _FAR or (2 * _FAR - 3 * k[-1]) ** 2 < 2 * mu * (_FAR**2 + 3 * k[-1]):
        return False
    radius = (_FAR - _NEAR) / 64
    centres, k = (a.ravel() for a in np.meshgrid(_NEAR + radius * np.arange(1, 64, 2), k))
    for _ in range(40):
        below = ~_is_positive_on_cells(centres, radius, k, mu)
        centres, k, radius = centres[below], k[below], radius / 2
        if not 0 < len(centres) < 10**5:
            break
        centres, k = np.concatenate([centres - radius, centres + radius]), np.tile(k, 2)
    return len(centres) == 0


def _is_positive_on_cells(s: Floats, radius: float, k: Floats, mu: float) -> NDArray[np.bool_]:
    """Return whether phi > 0 for certain on [s - r, s + r].

    D' = N, |N'| <= 2 + 6 k, |N''| <= 12 k, |N| <= 2 s + 3 k.
    """
    top, bottom = _terms(s, k)
    slope = 2 * top * (2 + 6 * k * np.cos(2 * s) - mu)
    most = 2 * (s + radius) + 3 * k
    bend = 2 * (2 + 6 * k) * (abs(2 - mu) + 6 * k) + 24 * k * most
    rounding = 32 * _EPSILON * (most**2 + s**2 + 3 * k)
    positive: NDArray[np.bool_] = (
        top**2 - 2 * mu * bottom > (np.abs(slope) * (1 + 1e-9) + bend * radius / 2) * radius + rounding
    )
    return positive
