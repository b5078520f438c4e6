"""L of Assumption 3 from a Hessian H: ||H||_{inf->1} = max |u'Hv| over sign vectors u and v, in certified limits.

For a symmetric K let m(K) = max v'Kv over v in {-1, 1}^d. A positive semidefinite H has ||H||_{inf->1} = m(H), as
|u'Hv| <= (u'Hu + v'Hv) / 2; any other has m([[0, H], [H, 0]]) / 2. To find m is NP-hard. It is enumerated for small d;
beyond, it lies between a local search and the semidefinite relaxation, whose value is at most pi/2 m for a positive
semidefinite K (Nesterov, Optim. Methods Softw. 9, 1998). Whatever a search finds, what is returned is a limit.
"""

import math
from typing import Any, Literal

import numpy as np
import scipy  # its parts are imported when they are used

from mpisign.arrays import Floats
from mpisign.theory.constants import Constant

_FEW = 24
"""Up to this size of K all sign vectors are enumerated: 2^23 numbers at once."""
_EXACT = 1e-9
"""Limits that are as close as this, relatively, are called exact."""
_MANY = 512
"""Beyond this size of K what only has to be near, as it is certified afterwards, is found in float32 or by Lanczos."""
_PART = 1e-4
"""Of the mean diagonal of a large diag(w) - K, that is added to it before it is factorised."""
_STILL = 3e-7
"""A relative change of the relaxation's value that ends it."""
_STARTS = 16
_EPSILON = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)


def smoothness(hessian: Floats, error: float = 0.0, semidefinite: bool = False) -> dict[str, Constant]:
    """Return L = ||H||_{inf->1} of a symmetric H, shape (d, d).

    It is exact, or an upper limit L together with a lower one, L_lower. Exact is to rounding for d <= 24 (d <= 12 where
    H is indefinite), beyond to 1e-9.

    error: a limit for ||H - truth||_{inf->1}, by which the limits are moved apart. semidefinite: whether the truth is
    known to be so, though H may not be.
    """
    matrix, scale = scaled(hessian)
    limits = sign_limits(matrix, True, error / scale / 64) if semidefinite else _norm_limits(matrix)
    lower, upper = (scale * limit for limit in limits)
    if upper - lower + 2 * error <= _EXACT * upper:
        return {"L": Constant(upper, "exact")}
    return {"L": Constant(upper + error, "upper"), "L_lower": Constant(max(lower - error, 0.0), "lower")}


def scaled(matrix: Floats) -> tuple[Floats, float]:
    """Return (K, s): matrix = s K, with s a power of 2 that leaves K's entries below 2: no sum of them overflows."""
    scale = math.ldexp(1.0, math.frexp(float(max(matrix.max(), -matrix.min())))[1] - 1)
    return matrix / scale, scale


def _norm_limits(matrix: Floats) -> tuple[float, float]:
    """Return limits of ||H||_{inf->1}. Where H + t I is semidefinite for a t of rounding's size, it is m(H) to d t."""
    d = len(matrix)
    rounding = 2 * _margin(np.abs(matrix.diagonal()))
    if certifies(-matrix, np.full(d, rounding)):
        lower, upper = sign_limits(matrix, semidefinite=True)
        return lower, upper if d <= _FEW else upper + d * rounding
    nothing = np.zeros_like(matrix)
    lower, upper = sign_limits(np.block([[nothing, matrix], [matrix, nothing]]))
    return lower / 2, upper / 2


def sign_limits(matrix: Floats, semidefinite: bool = False, slack: float = 0.0) -> tuple[float, float]:
    """Return (lower, upper) limits of m(K) for a symmetric K, shape (d, d), entries below 2; equal for d <= 24.

    semidefinite: whether K is known to be so, but for rounding. slack: by how much the upper limit may be larger than
    it need be. Either saves time where K is large.
    """
    d = len(matrix)
    if d <= _FEW:
        signs = _best_signs(matrix)
        value = math.fsum((matrix * np.outer(signs, signs)).ravel())
        return value, value
    lowest = 0.0 if semidefinite and d > _MANY else _end(matrix, "SA")
    vectors = _relaxed(matrix, lowest)
    products = matrix @ vectors - lowest * vectors
    upper = _weighted_bound(matrix, np.linalg.norm(products, axis=1) + lowest, slack)
    highest = _end(matrix, "LA")
    if d * highest < upper:
        upper = min(upper, _weighted_bound(matrix, np.full(d, highest)))
    blocks = np.array_split(matrix, -(-d // _STARTS))  # whose absolute values stay in the cache
    size = float(np.concatenate([np.abs(block).sum(axis=1) for block in blocks]).sum())
    rounding = 4 * d * _EPSILON * size
    return _local_search(matrix, vectors) - rounding, min(upper, size + rounding)


def _end(matrix: Floats, which: Literal["SA", "LA"]) -> float:
    """Return the least ("SA") or largest ("LA") eigenvalue of a symmetric matrix, of a large one nearly."""
    found = _lanczos(matrix, which) if len(matrix) > _MANY else None
    return float(scipy.linalg.eigvalsh(matrix)[0 if which == "SA" else -1]) if found is None else found


def _lanczos(operator: Any, which: Literal["SA", "LA"]) -> float | None:
    """Return an eigenvalue at an end nearly, or None: it has not converged, or the operator is zero."""
    start = np.random.default_rng(0).standard_normal(operator.shape[0])
    try:
        found = scipy.sparse.linalg.eigsh(operator, 1, which=which, v0=start, tol=1e-6, return_eigenvectors=False)
    except scipy.sparse.linalg.ArpackError:
        return None
    return float(found[0])


def _least(matrix: Floats) -> float:
    """Return the least eigenvalue of a symmetric matrix, of a large one nearly.

    Where a small part of its mean diagonal makes it definite, the inverse has it in a tenth of the steps.
    """
    d, part = len(matrix), _PART * float(matrix.trace()) / len(matrix)
    if d <= _MANY or part <= 0:
        return _end(matrix, "SA")
    moved = matrix.copy()
    moved[np.diag_indices_from(moved)] += part
    try:
        factor = scipy.linalg.cholesky(moved.T, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        return _end(matrix, "SA")

    def solve(v: Floats) -> Floats:
        """Return the inverse times v."""
        solved: Floats = scipy.linalg.cho_solve((factor, False), v.ravel(), check_finite=False)
        return solved

    found = _lanczos(scipy.sparse.linalg.LinearOperator((d, d), matvec=solve, dtype=float), "LA")
    return 1 / found - part if found is not None and found > 0 else _end(matrix, "SA")


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
    is K's least eigenvalue: the sum never falls. Of a large K, 30 steps with momentum come as near as 100 without.
    """
    d = len(matrix)
    vectors = np.random.default_rng(0).standard_normal((d, max(_STARTS, math.isqrt(2 * d) + 2)))
    if d > _MANY:  # one column less is still enough, and may be a multiple of 16
        found = _relaxed_by_momentum(matrix, lowest, vectors[:, :-1])
        if np.isfinite(found).all():
            return found
    shifted = matrix - lowest * np.eye(d)
    for _ in range(500):
        vectors = shifted @ _unit(vectors)
    return _unit(vectors)


def _relaxed_by_momentum(matrix: Floats, lowest: float, vectors: Floats) -> Floats:
    """Return what `_relaxed` does from these vectors, shape (d, r), by steps in float32."""
    shifted, momentum = matrix.astype(np.float32), np.float32(0.7)
    shifted[np.diag_indices_from(shifted)] -= np.float32(lowest)
    before = now = _unit(vectors.astype(np.float32))
    value = 0.0
    for _ in range(100):
        moved = shifted @ (now + momentum * (now - before))
        before, now = now, _unit(moved)
        last, value = value, float(np.vdot(now, moved))
        if abs(value - last) <= _STILL * value:
            break
    return _unit(now.astype(np.float64))


def _unit(vectors: Floats) -> Floats:
    least = np.finfo(vectors.dtype).tiny
    unit: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), least)
    return unit


def _local_search(matrix: Floats, vectors: Floats) -> float:
    """The largest v'Kv found from the signs of the first columns of `vectors` by flips of the best single sign.

    In large ones v <- sign(Kv) comes first, which a semidefinite K never makes worse.
    """
    signs = np.where(vectors.T[:_STARTS] >= 0, 1.0, -1.0)
    for _ in range(8 if len(matrix) > _MANY else 0):
        signs = np.where(signs @ matrix >= 0, 1.0, -1.0)
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


def _weighted_bound(matrix: Floats, weights: Floats, slack: float = 0.0) -> float:
    """Return a limit m(K) <= sum(w) + d s for an s that makes diag(w) + s I - K certainly semidefinite.

    slack: d s that is tried first.
    """
    if slack and certifies(matrix, weights + slack / len(matrix)):
        return math.fsum(weights + slack / len(matrix)) * (1 + _EPSILON)
    shift = max(0.0, -_least(_less(weights, matrix)))
    margin = max(_margin(np.abs(weights) + shift + np.abs(matrix.diagonal())), _TINY)
    if len(matrix) > _MANY:
        shift += 2 * margin  # it would hardly be certified without, and a factorisation takes long
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
    difference = _less(weights, matrix)
    sizes = np.abs(weights) + np.abs(matrix.diagonal())
    difference[np.diag_indices_from(difference)] -= _margin(sizes)
    try:
        scipy.linalg.cholesky(difference.T, overwrite_a=True, check_finite=False)  # LAPACK's order of a symmetric one
    except np.linalg.LinAlgError:
        return False
    return True


def _less(weights: Floats, matrix: Floats) -> Floats:
    """Return diag(w) - K."""
    difference: Floats = -matrix
    difference[np.diag_indices_from(difference)] += weights
    return difference


def _margin(diagonal: Floats) -> float:
    """Return what a Cholesky factorisation with this diagonal cannot see of an eigenvalue, twice."""
    return (len(diagonal) + 4) * _EPSILON * float(diagonal.sum())
