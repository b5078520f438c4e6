"""Quadratics: (1/2) sum lambda_i x_i^2 and (1/2) x'Hx."""

import numpy as np

from mpisign.arrays import Floats
from mpisign.problems.problem import Problem, finite_vector
from mpisign.settings import BadInput, checked
from mpisign.theory.constants import Constant


class Separable(Problem):
    """f(x) = (1/2) sum lambda_i x_i^2; f* = 0. `eigenvalues`: the lambda_i >= 0"""

    @checked
    def __init__(self, *, eigenvalues: list[float]):
        self._eigenvalues = finite_vector(eigenvalues, "eigenvalues")
        self.dimension = len(self._eigenvalues)
        if not self.dimension or not (self._eigenvalues >= 0).all() or not self._eigenvalues.any():
            raise BadInput("eigenvalues", f"expected numbers >= 0, not all zero, got {eigenvalues}")

    def value(self, x: Floats) -> float:
        return 0.5 * float(np.dot(self._eigenvalues * x, x))

    def gradient(self, x: Floats, out: Floats) -> None:
        np.multiply(self._eigenvalues, x, out=out)

    def constants(self) -> dict[str, Constant]:
        """L = sum lambda_i, mu = min lambda_i (0: not strongly convex)."""
        return {
            "L": Constant(float(self._eigenvalues.sum()), "exact"),
            "mu": Constant(float(self._eigenvalues.min()), "exact"),
        }


class Quadratic(Problem):
    """f(x) = (1/2) x'Hx; f* = 0. `matrix`: H, symmetric positive semidefinite"""

    @checked
    def __init__(self, *, matrix: list[list[float]]):
        if not matrix or any(len(row) != len(matrix) for row in matrix):
            raise BadInput("matrix", "expected a square matrix, as many rows as columns")
        self._matrix = finite_vector(matrix, "matrix")
        self.dimension = len(matrix)
        if not np.allclose(self._matrix, self._matrix.T, rtol=1e-12, atol=0):
            raise BadInput("matrix", "expected a symmetric matrix")
        lowest, highest = np.linalg.eigvalsh(self._matrix)[[0, -1]]
        if not highest > 0 or lowest < -1e-12 * highest:
            raise BadInput(
                "matrix", f"expected a positive semidefinite matrix, not zero; an eigenvalue is {lowest:.6g}"
            )
        self._definite = bool(lowest > 1e-12 * highest)

    def value(self, x: Floats) -> float:
        return 0.5 * float(x @ (self._matrix @ x))

    def gradient(self, x: Floats, out: Floats) -> None:
        np.dot(self._matrix, x, out=out)

    def constants(self) -> dict[str, Constant]:
        """L <= sum |H_ij|; mu = 1 / max_i (H^-1)_ii for a definite H."""
        upper = Constant(float(np.abs(self._matrix).sum()), "upper")
        if not self._definite:
            return {"L": upper}
        mu = 1.0 / float(np.linalg.inv(self._matrix).diagonal().max())
        return {"L": upper, "mu": Constant(mu, "exact")}
