"""What logistic regression adds to the loss."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from typing_extensions import override

from mpisign.arrays import Floats
from mpisign.compiled.text import Part, Text


class Regulariser(ABC):
    """A sum over coordinates of one even function of each, whose second derivative is largest at 0.

    key: what tells it from others. steepest: the second derivative at 0.
    """

    key: str
    steepest: float

    @abstractmethod
    def values(self, points: Floats) -> Floats:
        """Return the values at points of shape (r, d): shape (r,)."""

    @abstractmethod
    def gradient_part(self) -> Part:
        """Return `gradient` as a text(parameters, x, out)."""

    def gradient(self, x: Floats, out: Floats) -> None:
        """Write out[:] = the derivative in each coordinate; shapes alike."""
        part = self.gradient_part()
        part.text.plain(part.parameters, x, out)

    def and_then(self, x: Floats, subtract: Callable[[int, Floats], None]) -> Callable[[int, Floats], None]:
        """Return write(start, out): the coordinates of the derivative from `start` on, and subtract(start, out)."""

        def write(start: int, out: Floats) -> None:
            self.gradient(x[start : start + len(out)], out)
            subtract(start, out)

        return write

    @abstractmethod
    def curvature(self, x: Floats) -> Floats:
        """Return the second derivative in each coordinate, shape (d,)."""


class _Samples(NamedTuple):
    """n."""

    samples: int


def _l2_gradient(p: _Samples, x: Floats, out: Floats) -> None:
    np.divide(x, p.samples, out)


class L2(Regulariser):
    """||x||^2 / (2n)."""

    key = "l2"

    def __init__(self, samples: int):
        self._samples, self.steepest = samples, 1 / samples

    @override
    def values(self, points: Floats) -> Floats:
        squares: Floats = np.einsum("ij,ij->i", points, points) / (2 * self._samples)
        return squares

    @override
    def gradient_part(self) -> Part:
        return Part(Text.of(_l2_gradient), _Samples(self._samples))

    @override
    def curvature(self, x: Floats) -> Floats:
        return np.full(len(x), self.steepest)


class _Weight(NamedTuple):
    """The weight."""

    weight: float


def _nonconvex_gradient(p: _Weight, x: Floats, out: Floats) -> None:
    # Square roots are rounded correctly everywhere, np.hypot and powers are not; beyond 1e9 the root is |x|.
    size = np.abs(x)
    s = 1 / np.where(size < 1e9, np.sqrt(1 + np.square(np.minimum(size, 1e9))), size)
    np.multiply(x * s, 2 * p.weight * (s * s * s), out)


class Nonconvex(Regulariser):
    """weight sum x_i^2 / (1 + x_i^2).

    By s = 1 / sqrt(1 + x^2) and t = x s, which do not overflow: t^2, 2 t s^3 and 2 (s^2 - 3 t^2) s^4, which lies in
    [-1/2, 2], each times the weight.
    """

    def __init__(self, weight: float):
        self._weight, self.steepest, self.key = weight, 2 * weight, f"nonconvex {weight!r}"

    @override
    def values(self, points: Floats) -> Floats:
        t = points / np.hypot(1.0, points)
        squares: Floats = self._weight * np.einsum("ij,ij->i", t, t)
        return squares

    @override
    def gradient_part(self) -> Part:
        return Part(Text.of(_nonconvex_gradient), _Weight(self._weight))

    @override
    def curvature(self, x: Floats) -> Floats:
        s = 1 / np.hypot(1.0, x)
        squares: Floats = 2 * self._weight * (s**2 - 3 * np.square(x * s)) * s**4
        return squares
