"""Where a repeat starts: x_0, the same for every run of the experiment."""

from abc import ABC, abstractmethod
from typing import Annotated, cast

import numpy as np
from pydantic import Discriminator, Tag
from typing_extensions import override

from mpisign.arrays import Floats
from mpisign.config.registry import Registry
from mpisign.config.validation import InputError, NonNegative, settings
from mpisign.rng import RandomStreams, Stream


class InitialPoint(ABC):
    """A rule for x_0."""

    @abstractmethod
    def point(self, dimension: int, streams: RandomStreams) -> Floats:
        """Return x_0, float64, shape (d,); a new array, which is stepped in place.

        A function of d and `streams` alone, since every run of a repeat, a resumed one too, asks for it anew. What is
        random in it comes from `streams.generator(Stream.START, 0, 0)`, another in each repeat; `streams.repeat` is its
        number.
        Raises InputError, naming its own key, where there is none; that is asked for repeat 0 before anything runs.
        """


@settings
class Normal(InitialPoint):
    """x_0 ~ N(0, size^2 I), another in each repeat (Example 5).

    Attributes:
        size: The standard deviation of each coordinate.
    """

    size: NonNegative = 1.0

    @override
    def point(self, dimension: int, streams: RandomStreams) -> Floats:
        return self.size * streams.generator(Stream.START, 0, 0).standard_normal(dimension)


def _one_or_many(x: object) -> str:
    return "[many]" if isinstance(x, list) and x and isinstance(x[0], list) else "[one]"


OneOrMany = Annotated[
    Annotated[list[float], Tag("[one]")] | Annotated[list[list[float]], Tag("[many]")], Discriminator(_one_or_many)
]
"""A point, or a list of points; its first entry tells which, so that a complaint names the key that the user wrote."""


@settings
class Point(InitialPoint):
    """x_0 = x, the same in each repeat; or, x a list of points, repeat r starts at x[r mod their number].

    Attributes:
        x: A point of d numbers, or a list of points.
    """

    x: OneOrMany

    def point(self, dimension: int, streams: RandomStreams) -> Floats:
        """Raise InputError unless every point has d numbers, also those that no repeat reaches."""
        many = _one_or_many(self.x) == "[many]"
        points = cast(list[list[float]], self.x if many else [self.x])
        for i, point in enumerate(points):
            if len(point) != dimension:
                key = f"x.{i}" if many else "x"
                raise InputError(key, f"expected {dimension} numbers, one a coordinate, got {len(point)}")
        return np.array(points[streams.repeat % len(points)], dtype=np.float64)


@settings
class Origin(InitialPoint):
    """x_0 = 0."""

    @override
    def point(self, dimension: int, streams: RandomStreams) -> Floats:
        return np.zeros(dimension)


STARTS: Registry[InitialPoint] = Registry("starts", InitialPoint, normal=Normal, point=Point, zeros=Origin)
