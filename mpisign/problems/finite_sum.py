"""Quadratics as finite sums, in which the audit's counterexamples are stated."""

from collections.abc import Callable
from copy import copy
from typing import Any, NamedTuple

import numpy as np
from typing_extensions import override

from mpisign.arrays import Floats, Indices
from mpisign.compiled.text import Part, composed
from mpisign.config.validation import InputError, checked, shown
from mpisign.fixed_order import add_quotient
from mpisign.problems.base import Problem, finite_vector, to_float32
from mpisign.problems.distributed_objective import Objective
from mpisign.problems.quadratic import Quadratic, Separable
from mpisign.theory.constants import Constant
from mpisign.theory.noise import FiniteDistribution, Noise, known, largest, limited, mean_law

_ROUNDING = 1e-12


class _Atoms(NamedTuple):
    """The quadratic's own parameters, and c."""

    quadratic: Any
    atoms: Floats


def _with_atoms(gradient: Callable[..., None]) -> Callable[..., None]:
    """Return the mean gradient of some samples; gradient: that of the quadratic."""

    def minibatch(p: _Atoms, x: Floats, samples: Indices, out: Floats) -> None:
        gradient(p.quadratic, x, out)
        for sample in samples:
            add_quotient(out, p.atoms[sample], len(samples))

    return minibatch


class FiniteQuadratic(Problem):
    """f(x) = sum_i w_i (x'Hx/2 + c_i'x) with sum_i w_i c_i = 0, so that f(x) = x'Hx/2 and f* = 0.

    Args:
        eigenvalues: Those of a diagonal H; either these or `matrix`.
        matrix: The rows of H.
        atoms: The c_i, a list of d numbers each.
        weights: The w_i > 0, which add up to 1.
    """

    minimum_value = 0.0

    @checked
    def __init__(
        self,
        *,
        eigenvalues: list[float] | None = None,
        matrix: list[list[float]] | None = None,
        atoms: list[list[float]],
        weights: list[float],
    ):
        self._quadratic = _quadratic(eigenvalues, matrix)
        self.dimension, self.samples = self._quadratic.dimension, len(atoms)
        self.weights = checked_weights = _weights(weights, len(atoms))
        self._law = FiniteDistribution(_atoms(atoms, checked_weights, self.dimension), checked_weights)
        self._minibatch = self.minibatch_part().function()

    @override
    def rounded(self) -> "FiniteQuadratic":
        made = copy(self)
        made._quadratic = self._quadratic.rounded()
        made._law = self._law._replace(atoms=to_float32(self._law.atoms))
        made._minibatch = made.minibatch_part().function()
        return made

    @override
    def value(self, x: Floats) -> float:
        return self._quadratic.value(x)

    @override
    def gradient(self, x: Floats, out: Floats) -> None:
        self._quadratic.gradient(x, out)

    @override
    def minibatch(self, x: Floats, samples: Indices, out: Floats) -> None:
        self._minibatch(x, samples, out)

    @override
    def gradient_part(self) -> Part:
        return self._quadratic.gradient_part()

    @override
    def minibatch_part(self) -> Part:
        inner = self._quadratic.gradient_part()
        return composed(_with_atoms, _Atoms(inner.parameters, self._law.atoms), inner)

    def noise(self, batch: int) -> Noise:
        """g~ - g is the mean of `batch` atoms, whatever x is: its law, or limits where that has too many values."""
        law = mean_law(self._law, batch)
        if law is not None:
            return known(law)
        atoms, weights = self._law
        single = float(weights @ np.square(np.abs(atoms).sum(axis=1)))
        few = limited(single, float(np.sqrt(weights @ np.square(atoms)).sum()), batch)
        return few._replace(largest=largest(atoms))

    @override
    def constants(self, objective: Objective) -> dict[str, Constant]:
        return self._quadratic.constants(objective)


def _quadratic(eigenvalues: list[float] | None, matrix: list[list[float]] | None) -> Separable | Quadratic:
    if matrix is not None and eigenvalues is None:
        return Quadratic(matrix=matrix)
    if eigenvalues is not None and matrix is None:
        return Separable(eigenvalues=eigenvalues)
    raise InputError("eigenvalues", "expected either eigenvalues or matrix")


def _weights(weights: list[float], count: int) -> Floats:
    array = finite_vector(weights, "weights")
    if not count:
        raise InputError("atoms", "expected at least one, got none")
    if len(array) != count:
        raise InputError("weights", f"expected one for each of the {count} atoms, got {len(array)}")
    if not (array > 0).all():
        raise InputError("weights", f"expected numbers > 0 that add up to 1, got {array[array <= 0][0]:.15g}")
    if abs(array.sum() - 1) > _ROUNDING:
        raise InputError("weights", f"expected numbers > 0 that add up to 1, got a sum of {array.sum():.15g}")
    return array


def _atoms(atoms: list[list[float]], weights: Floats, dimension: int) -> Floats:
    for i, atom in enumerate(atoms):
        if len(atom) != dimension:
            raise InputError(f"atoms.{i}", f"expected {dimension} numbers, one a coordinate, got {len(atom)}")
    array = finite_vector(atoms, "atoms")
    mean = weights @ array
    if (np.abs(mean) > _ROUNDING * np.abs(array).max(initial=0.0)).any():
        raise InputError("atoms", f"expected sum_i w_i c_i = 0, got {shown(mean.tolist())}")
    return array
