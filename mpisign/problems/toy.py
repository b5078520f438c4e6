"""Example 4, on the line and summed over coordinates."""

from typing import NamedTuple

import numpy as np
from typing_extensions import override

from mpisign.arrays import Floats
from mpisign.compiled.text import Part, Text
from mpisign.config.validation import InputError, checked, shown
from mpisign.fixed_order import sine
from mpisign.problems.base import Problem, WriteSlice, finite_vector, of_coordinates, with_rounded
from mpisign.problems.distributed_objective import Objective
from mpisign.theory.constants import Constant
from mpisign.theory.polyak_lojasiewicz import pl_constant_of_toy


class _Frequencies(NamedTuple):
    """omega."""

    frequencies: Floats


def _toy_gradient(p: _Frequencies, x: Floats, out: Floats) -> None:
    sine(2.0 * p.frequencies * x, out)
    np.multiply(out, 3.0 * p.frequencies, out)
    np.add(out, 2.0 * x, out)


class Toy(Problem):
    """f(x) = sum x_i^2 + 3 sin^2(omega_i x_i), not convex; f* = 0 (Example 4).

    Args:
        frequencies: The omega_i > 0, as many as x has coordinates; by default [1.0], Example 4.
    """

    minimum_value = 0.0

    @checked
    def __init__(self, *, frequencies: list[float] | None = None):
        self.defaults = {"frequencies": [1.0]}
        self._frequencies = finite_vector([1.0] if frequencies is None else frequencies, "frequencies")
        self.dimension = len(self._frequencies)
        if not self.dimension or not (self._frequencies > 0).all():
            raise InputError("frequencies", f"expected numbers > 0, got {shown(frequencies)}")

    @override
    def value(self, x: Floats) -> float:
        sines = np.sin(self._frequencies * x)
        return float(np.dot(x, x) + 3.0 * np.dot(sines, sines))

    @override
    def gradient(self, x: Floats, out: Floats) -> None:
        _toy_gradient(_Frequencies(self._frequencies), x, out)

    @override
    def gradient_part(self) -> Part:
        return Part(Text.of(_toy_gradient), _Frequencies(self._frequencies))

    @property
    @override
    def has_slices(self) -> bool:
        return True

    @override
    def gradient_slices(self, x: Floats) -> WriteSlice:
        return of_coordinates(lambda here, out: _toy_gradient(_Frequencies(self._frequencies[here]), x[here], out))

    @override
    def rounded(self) -> "Toy":
        return with_rounded(self, _frequencies=self._frequencies)

    def constants(self, objective: Objective) -> dict[str, Constant]:
        """Return L = sum 2 + 6 omega_i^2, attained at 0, where the Hessian H(0) is largest and no other is below -H(0).

        mu_PL is the least of the mu(omega_i) on the line; there is one for omega_i < 1.2387.
        """
        known = {"L": Constant(float((2.0 + 6.0 * np.square(self._frequencies)).sum()), "exact")}
        mu = pl_constant_of_toy(self._frequencies)
        return known if mu is None else known | {"mu_PL": mu}
