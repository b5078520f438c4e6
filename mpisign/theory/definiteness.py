"""Whether a symmetric matrix is positive semidefinite, and its rank: by rounding where that is clear, else exactly.

A float64 number is a fraction with a power of 2 below, so that elimination in whole numbers (Bareiss, Math. Comp. 22,
1968) knows no rounding: each pivot is a leading minor, and no fraction is ever formed.
"""

from fractions import Fraction

import numpy as np

from mpisign.arrays import Floats
from mpisign.theory.smoothness import scaled

FEW = 128
"""Up to this d what rounding leaves open is decided exactly, in about a second."""
_EPSILON = float(np.finfo(np.float64).eps)


def rank_of_semidefinite(matrix: Floats) -> int | None:
    """Return the rank of a symmetric positive semidefinite matrix.

    Args:
        matrix: shape (d, d), not 0, of finite numbers.

    Returns:
        The rank, or None where an eigenvalue is negative, or, for d > FEW, may be.
    """
    eigenvalues = np.linalg.eigvalsh(scaled(matrix)[0])
    rounding = 8 * len(matrix) * _EPSILON * float(np.abs(eigenvalues).max())
    if eigenvalues[0] > rounding:
        return len(matrix)
    if eigenvalues[0] < -rounding or len(matrix) > FEW:
        return None
    return _eliminated(_integers(matrix)[0])[0]


def inverse_diagonal(matrix: Floats) -> list[Fraction]:
    """Return the exact diagonal of the inverse of a positive definite matrix, shape (d, d): minors over determinant."""
    rows, unit = _integers(matrix)
    determinant, d = _eliminated(rows)[1], len(rows)
    others = [[i for i in range(d) if i != left_out] for left_out in range(d)]
    minors = [_eliminated([[rows[i][j] for j in kept] for i in kept])[1] for kept in others]
    return [Fraction(minor, determinant) / unit for minor in minors]


def _integers(matrix: Floats) -> tuple[list[list[int]], Fraction]:
    """Return (whole numbers, unit): the matrix is their product."""
    ratios = [[value.as_integer_ratio() for value in row] for row in matrix.tolist()]
    common = max(below for row in ratios for _, below in row)
    return [[above * (common // below) for above, below in row] for row in ratios], Fraction(1, common)


def _eliminated(rows: list[list[int]]) -> tuple[int | None, int]:
    """Return the rank, None where a minor is negative, and the last pivot: the determinant where the rank is full."""
    rows, previous, rank = [list(row) for row in rows], 1, 0
    for k, row in enumerate(rows):
        pivot = row[k]
        if pivot < 0 or (pivot == 0 and any(row[k + 1 :])):
            return None, pivot
        if pivot == 0:
            continue
        for i in range(k + 1, len(rows)):
            for j in range(i, len(rows)):  # symmetric: the upper triangle is enough
                rows[i][j] = (rows[i][j] * pivot - row[i] * row[j]) // previous
        previous, rank = pivot, rank + 1
    return rank, previous
