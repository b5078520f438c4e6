"""Quadratics: (1/2) sum lambda_i x_i^2 and (1/2) x'Hx."""

from typing import NamedTuple

import numpy as np
from typing_extensions import override

from mpisign.arrays import Floats
from mpisign.compiled.text import Part, Text
from mpisign.config.validation import InputError, checked, shown
from mpisign.fixed_order import multiply
from mpisign.problems.base import Problem, WriteSlice, finite_vector, of_coordinates, with_rounded
from mpisign.problems.distributed_objective import Objective
from mpisign.theory.constants import Constant
from mpisign.theory.definiteness import rank_of_semidefinite
from mpisign.theory.polyak_lojasiewicz import pl_constant
from mpisign.theory.smoothness import smoothness


class _Diagonal(NamedTuple):
    """lambda."""

    eigenvalues: Floats


def _separable_gradient(p: _Diagonal, x: Floats, out: Floats) -> None:
    np.multiply(p.eigenvalues, x, out)


class _Matrix(NamedTuple):
    """H."""

    matrix: Floats


def _quadratic_gradient(p: _Matrix, x: Floats, out: Floats) -> None:
    multiply(p.matrix, x, out)


class Separable(Problem):
    """f(x) = (1/2) sum lambda_i x_i^2; f* = 0.

    Args:
        eigenvalues: The lambda_i >= 0, not all zero; as many as x has coordinates.
    """

    minimum_value = 0.0

    @checked
    def __init__(self, *, eigenvalues: list[float]):
        self._eigenvalues = finite_vector(eigenvalues, "eigenvalues")
        self.dimension = len(self._eigenvalues)
        if not self.dimension or not (self._eigenvalues >= 0).all() or not self._eigenvalues.any():
            raise InputError("eigenvalues", f"expected numbers >= 0, not all zero, got {shown(eigenvalues)}")

    @override
    def value(self, x: Floats) -> float:
        return 0.5 * float(np.dot(self._eigenvalues * x, x))

    @override
    def gradient(self, x: Floats, out: Floats) -> None:
        _separable_gradient(_Diagonal(self._eigenvalues), x, out)

    @override
    def gradient_part(self) -> Part:
        return Part(Text.of(_separable_gradient), _Diagonal(self._eigenvalues))

    @property
    @override
    def has_slices(self) -> bool:
        return True

    @override
    def gradient_slices(self, x: Floats) -> WriteSlice:
        return of_coordinates(lambda here, out: np.multiply(self._eigenvalues[here], x[here], out))

    @override
    def rounded(self) -> "Separable":
        return with_rounded(self, _eigenvalues=self._eigenvalues)

    def constants(self, objective: Objective) -> dict[str, Constant]:
        """Return L = sum lambda_i; mu = min lambda_i, or mu_PL = min {lambda_i > 0} where one is 0."""
        positive = self._eigenvalues[self._eigenvalues > 0]
        name = "mu" if len(positive) == self.dimension else "mu_PL"
        return {
            "L": Constant(float(self._eigenvalues.sum()), "exact"),
            name: Constant(float(positive.min()), "exact"),
        }


class Quadratic(Problem):
    """f(x) = (1/2) x'Hx; f* = 0.

    Args:
        matrix: The rows of H, symmetric positive semidefinite, to the last bit where it is singular.
    """

    minimum_value = 0.0

    @checked
    def __init__(self, *, matrix: list[list[float]]):
        self._matrix, self._definite = semidefinite(matrix, "matrix")
        self.dimension = len(matrix)

    @override
    def value(self, x: Floats) -> float:
        return 0.5 * float(x @ (self._matrix @ x))

    @override
    def gradient(self, x: Floats, out: Floats) -> None:
        _quadratic_gradient(_Matrix(self._matrix), x, out)

    @override
    def gradient_part(self) -> Part:
        return Part(Text.of(_quadratic_gradient), _Matrix(self._matrix))

    @override
    def rounded(self) -> "Quadratic":
        return with_rounded(self, _matrix=self._matrix)

    def constants(self, objective: Objective) -> dict[str, Constant]:
        """Return L = ||H||_{inf->1}; mu = 1 / max_i (H^-1)_ii for a definite H, else mu_PL."""
        known, name = smoothness(self._matrix), "mu" if self._definite else "mu_PL"
        constant = pl_constant(self._matrix)
        return known if constant is None else known | {name: constant}


def semidefinite(matrix: list[list[float]], key: str) -> tuple[Floats, bool]:
    """Return (H, whether it is definite).

    Raises:
        InputError: H is not symmetric, not positive semidefinite, or 0; it names `key`.
    """
    if not matrix or any(len(row) != len(matrix) for row in matrix):
        raise InputError(key, "expected a square matrix, as many rows as columns")
    hessian = finite_vector(matrix, key)
    if not np.allclose(hessian, hessian.T, rtol=1e-12, atol=0):
        raise InputError(key, "expected a symmetric matrix")
    symmetric = hessian / 2 + hessian.T / 2
    rank = rank_of_semidefinite(symmetric) if symmetric.any() else 0
    if not rank:
        raise InputError(key, _refusal(symmetric))
    return symmetric, rank == len(matrix)


def _refusal(matrix: Floats) -> str:
    """Say which eigenvalue is in the way, and why one that looks like rounding's counts."""
    lowest, highest = np.linalg.eigvalsh(matrix)[[0, -1]]
    text = f"expected a positive semidefinite matrix, not zero; an eigenvalue is {lowest:.6g}"
    if not -1e-9 * highest < lowest < 1e-9 * highest:
        return text
    return f"{text} and leaves f without a minimum: write a singular matrix in exact numbers, or add to its diagonal"
