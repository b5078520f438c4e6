"""f(x) = x'Hx / 2 in exact arithmetic, with L and mu with respect to the infinity norm."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import NamedTuple

from mpisign.theory.certificates.laws import Vector

Matrix = tuple[tuple[Fraction, ...], ...]

MOST_COORDINATES = 16
"""Largest d of a matrix that is not diagonal: L enumerates 2^(d-1) sign vectors."""


class Curvature(NamedTuple):
    """The constants of a quadratic, exactly.

    Attributes:
        mu: Assumption 2's, which is Assumption 1's where H is definite; None where it is not known in fractions.
        L: Assumption 3's.
    """

    mu: Fraction | None
    L: Fraction


def times(matrix: Matrix, vector: Sequence[Fraction]) -> Vector:
    """Return Hx."""
    return tuple(sum((a * b for a, b in zip(row, vector, strict=True)), Fraction(0)) for row in matrix)


def diagonal(eigenvalues: Sequence[Fraction]) -> Matrix:
    """Return the diagonal matrix."""
    zero = Fraction(0)
    return tuple(
        tuple(value if i == j else zero for j in range(len(eigenvalues))) for i, value in enumerate(eigenvalues)
    )


def curvature(matrix: Matrix) -> Curvature:
    """Return L = max v'Hv over sign vectors v, and mu = min ||Hx||_1^2 / x'Hx over all x with Hx != 0.

    mu is the least positive entry of a diagonal H, 1 / max_i (H^-1)_ii of a definite one, and ||a||_1^2 of H = aa'.

    Args:
        matrix: H, positive semidefinite and not 0; with at most `MOST_COORDINATES` rows where it is not diagonal.
    """
    entries = [matrix[i][i] for i in range(len(matrix))]
    if matrix == diagonal(entries):
        return Curvature(min(value for value in entries if value), sum(entries, Fraction(0)))
    largest = max(_form(matrix, (1, *signs)) for signs in product((1, -1), repeat=len(matrix) - 1))
    inverse = _inverse_diagonal(matrix)
    return Curvature(1 / max(inverse) if inverse else _of_rank_one(matrix), largest)


def _form(matrix: Matrix, signs: Sequence[int]) -> Fraction:
    """Return v'Hv."""
    return sum((a * b for a, b in zip(signs, times(matrix, [Fraction(s) for s in signs]), strict=True)), Fraction(0))


def _inverse_diagonal(matrix: Matrix) -> list[Fraction] | None:
    """Return the diagonal of the inverse by Gauss and Jordan's elimination; None for a singular matrix."""
    d = len(matrix)
    rows = [[*row, *identity] for row, identity in zip(matrix, diagonal([Fraction(1)] * d), strict=True)]
    for column in range(d):
        pivot = next((i for i in range(column, d) if rows[i][column]), None)
        if pivot is None:
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        head = rows[column] = [value / rows[column][column] for value in rows[column]]
        rows = [row if row is head else [a - row[column] * b for a, b in zip(row, head, strict=True)] for row in rows]
    return [rows[i][d + i] for i in range(d)]


def _of_rank_one(matrix: Matrix) -> Fraction | None:
    """Return ||a||_1^2 of H = aa', where ||Hx||_1 = |a'x| ||a||_1 and x'Hx = (a'x)^2; None for another H."""
    i = next(i for i in range(len(matrix)) if matrix[i][i])
    rank_one = all(
        matrix[i][i] * matrix[j][k] == matrix[i][j] * matrix[i][k]
        for j in range(len(matrix))
        for k in range(len(matrix))
    )
    # a_j = H_ij / a_i, so that ||a||_1^2 = (sum_j |H_ij|)^2 / H_ii
    return sum(map(abs, matrix[i])) ** 2 / matrix[i][i] if rank_one else None
