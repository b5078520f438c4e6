"""Where a repeat starts: x_0, the same for every run of the experiment."""

from abc import ABC, abstractmethod

import numpy as np

from mpisign.arrays import Floats
from mpisign.randomness import Draws, Purpose
from mpisign.registry import Registry
from mpisign.settings import BadInput, NonNegative, settings


class Start(ABC):
    """A rule for x_0."""

    @abstractmethod
    def point(self, dimension: int, draws: Draws) -> Floats:
        """x_0, shape (d,)."""


@settings
class Normal(Start):
    """x_0 ~ N(0, size^2 I), another in each repeat (Example 5)"""

    size: NonNegative = 1.0

    def point(self, dimension: int, draws: Draws) -> Floats:
        return self.size * draws.at(Purpose.START, 0, 0).standard_normal(dimension)


@settings
class Point(Start):
    """x_0 = x, the same in each repeat"""

    x: list[float]

    def point(self, dimension: int, draws: Draws) -> Floats:
        if len(self.x) != dimension:
            raise BadInput("x", f"expected {dimension} numbers, one a coordinate, got {len(self.x)}")
        return np.array(self.x, dtype=np.float64)


@settings
class Zeros(Start):
    """x_0 = 0"""

    def point(self, dimension: int, draws: Draws) -> Floats:
        return np.zeros(dimension)


STARTS: Registry[Start] = Registry("starts", Start, normal=Normal, point=Point, zeros=Zeros)
