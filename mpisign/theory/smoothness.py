"""L of Assumption 3 from a Hessian H: ||H||_{inf->1} = max |u'Hv| over sign vectors u and v, in certified limits.

For a symmetric K let m(K) = max v'Kv over v in {-1, 1}^d. A positive semidefinite H has ||H||_{inf->1} = m(H), as
|u'Hv| <= (u'Hu + v'Hv) / 2; any other has m([[0, H], [H, 0]]) / 2. To find m is NP-hard. It is enumerated for small d;
beyond, it lies between a local search and the semidefinite relaxation, whose value is at most pi/2 m for a positive
semidefinite K (Nesterov, Optim. Methods Softw. 9, 1998). Whatever a search finds, what is returned is a limit.
"""

import math

import numpy as np
import scipy  # its parts are imported when they are used

from mpisign.arrays import Floats
from mpisign.theory.constants import Constant

_FEW = 24
"""Up to this size of K all sign vectors are enumerated: 2^23 numbers at once."""
_EXACT = 1e-9
"""Limits that are as close as this, relatively, are called exact."""
_STARTS = 16
_EPSILON = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)


def smoothness(hessian: Floats, error: float = 0.0) -> dict[str, Constant]:
    """Return L = ||H||_{inf->1} of a symmetric H, shape (d, d).

    It is exact, or an upper limit L together with a lower one, L_lower. Exact is to rounding for d <= 24 (d <= 12 where
    H is indefinite), beyond to 1e-9.

    error: a limit for ||H - truth||_{inf->1}, by which the limits are moved apart.
    """
    matrix, scale = scaled(hessian)
    lower, upper = (scale * limit for limit in _norm_limits(matrix))
    if upper - lower + 2 * error <= _EXACT * upper:
        return {"L": Constant(upper, "exact")}
    return {"L": Constant(upper + error, "upper"), "L_lower": Constant(max(lower - error, 0.0), "lower")}


def scaled(matrix: Floats) -> tuple[Floats, float]:
    """Return (K, s): matrix = s K, with s a power of 2 that leaves K's entries below 2: no sum of them overflows."""
    scale = math.ldexp(1.0, math.frexp(float(np.abs(matrix).max()))[1] - 1)
    return matrix / scale, scale


def _norm_limits(matrix: Floats) -> tuple[float, float]:
    """Return limits of ||H||_{inf->1}. Where H + t I is semidefinite for a t of rounding's size, it is m(H) to d t."""
    d = len(matrix)
    rounding = 2 * _margin(np.abs(matrix.diagonal()))
    if certifies(-matrix, np.full(d, rounding)):
        lower, upper = sign_limits(matrix)
        return lower, upper if d <= _FEW else upper + d * rounding
    nothing = np.zeros_like(matrix)
    lower, upper = sign_limits(np.block([[nothing, matrix], [matrix, nothing]]))
    return lower / 2, upper / 2


def sign_limits(matrix: Floats) -> tuple[float, float]:
    """Return (lower, upper) limits of m(K) for a symmetric K, shape (d, d), entries below 2; equal for d <= 24."""
    d, sizes = len(matrix), np.abs(matrix).sum(axis=1)
    if d <= _FEW:
        signs = _best_signs(matrix)
        value = math.fsum((matrix * np.outer(signs, signs)).ravel())
        return value, value
    values = scipy.linalg.eigvalsh(matrix)
    vectors = _relaxed(matrix, values[0])
    products = matrix @ vectors - values[0] * vectors
    weights = np.linalg.norm(products, axis=1) + values[0]
    upper = min(_weighted_bound(matrix, weights), _weighted_bound(matrix, np.full(d, values[-1])))
    rounding = 4 * d * _EPSILON * float(sizes.sum())
    return _local_search(matrix, vectors) - rounding, min(upper, float(sizes.sum()) + rounding)


def _best_signs(matrix: Floats) -> Floats:
    """Return the v that attains m(K), by v = (u, w): u'Au + w'Cw + 2 u'Bw for all u and w in one matrix product."""
    half = len(matrix) // 2
    u, w = _all_signs(half), _all_signs(len(matrix) - half)
    w = w[w[:, -1] > 0]  # v and -v are equal
    values = 2 * (u @ matrix[:half, half:]) @ w.T
    values += np.einsum("ij,jk,ik->i", u, matrix[:half, :half], u, optimize=True)[:, None]
    values += np.einsum("ij,jk,ik->i", w, matrix[half:, half:], w, optimize=True)
    i, j = np.unravel_index(values.argmax(), values.shape)
    return np.concatenate([u[i], w[j]])


def _all_signs(d: int) -> Floats:
    """Return all of {-1, 1}^d, shape (2^d, d)."""
    bits = (np.arange(2**d)[:, None] >> np.arange(d)) & 1
    return np.where(bits, 1.0, -1.0)


def _relaxed(matrix: Floats, lowest: float) -> Floats:
    """Return unit vectors v_i, shape (d, r), that nearly maximise sum K_ij v_i'v_j.

    The semidefinite relaxation of m(K).

    With r > sqrt(2 d) local maxima are global ones but for a null set of K (Boumal, Voroninski and Bandeira, 2016).
    Each step replaces every v_i by the direction of sum_j P_ij v_j with P = K - lowest I, semidefinite where `lowest`
    is K's least eigenvalue: the sum never falls.
    """
    d = len(matrix)
    shifted = matrix - lowest * np.eye(d)
    vectors = np.random.default_rng(0).standard_normal((d, max(_STARTS, math.isqrt(2 * d) + 2)))
    for _ in range(500 if d <= 512 else 100):
        vectors = shifted @ _unit(vectors)
    return _unit(vectors)


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), _TINY)
    return unit


def _local_search(matrix: Floats, vectors: Floats) -> float:
    """The largest v'Kv found from the signs of the first columns of `vectors` by flips of the best single sign."""
    signs = np.where(vectors.T[:_STARTS] >= 0, 1.0, -1.0)
    diagonal, rows = matrix.diagonal(), np.arange(len(signs))
    products = signs @ matrix
    for _ in range(10 * len(matrix)):
        gains = diagonal - signs * products
        best = gains.argmax(axis=1)
        better = gains[rows, best] > len(matrix) * _EPSILON
        if not better.any():
            break
        who, what = rows[better], best[better]
        signs[who, what] *= -1.0
        products[who] += 2 * signs[who, what, None] * matrix[what]
    return float(np.einsum("ij,ij->i", signs @ matrix, signs).max())


def _weighted_bound(matrix: Floats, weights: Floats) -> float:
    """Return a limit m(K) <= sum(w) + d s for an s that makes diag(w) + s I - K certainly semidefinite."""
    shift = max(0.0, -float(scipy.linalg.eigvalsh(np.diag(weights) - matrix)[0]))
    margin = max(_margin(np.abs(weights) + shift + np.abs(matrix.diagonal())), _TINY)
    while not certifies(matrix, weights + shift):
        shift += margin
        margin *= 2
    return math.fsum(weights + shift) * (1 + _EPSILON)


def certifies(matrix: Floats, weights: Floats) -> bool:
    """Return True only if diag(w) - K is positive semidefinite, so that m(K) <= sum(w).

    A Cholesky factorisation in floats that does not break down factorises A + E with ||E||_2 <= c / (1 - c) trace A,
    c = (d + 1) u (Higham, Accuracy and Stability, Theorems 10.3 and 10.5), in whatever order a library adds. It is
    done for diag(w) - K less a multiple of I that is larger, and covers what rounding does to the diagonal.
    """
    difference = np.diag(weights) - matrix
    sizes = np.abs(weights) + np.abs(matrix.diagonal())
    difference[np.diag_indices_from(difference)] -= _margin(sizes)
    try:
        scipy.linalg.cholesky(difference, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        return False
    return True


def _margin(diagonal: Floats) -> float:
    """Return what a Cholesky factorisation with this diagonal cannot see of an eigenvalue, twice."""
    return (len(diagonal) + 4) * _EPSILON * float(diagonal.sum())
