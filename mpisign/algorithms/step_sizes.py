"""The learning rates alpha_k."""

import math
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated

import numpy as np
from pydantic import PlainValidator
from typing_extensions import override

from mpisign.arrays import Floats
from mpisign.config.registry import Registry
from mpisign.config.validation import InputError, Positive, settings, shown


class StepSize(ABC):
    """A rule for alpha_k > 0."""

    @abstractmethod
    def plan(self, samples: int | None) -> Callable[[int], float]:
        """Return k -> alpha_k, k = 0, 1, 2, ..., for a problem with n = `samples` data points (None: it has no data).

        alpha_k is a function of k alone: a resumed run does not ask for those before it. Raises InputError, naming its
        own key, where the rule does not fit the problem.
        """


class Same:
    """alpha_k = alpha.

    >>> Same(0.5)(7)
    0.5
    """

    def __init__(self, alpha: float):
        self._alpha = alpha

    def __call__(self, k: int) -> float:
        """Return alpha."""
        return self._alpha

    def values(self, first: int, stop: int) -> Floats:
        """Return alpha_k for first <= k < stop."""
        return np.full(stop - first, self._alpha)


def values(step: Callable[[int], float], first: int, stop: int) -> Floats:
    """Return alpha_k for first <= k < stop."""
    if isinstance(step, Same):
        return step.values(first, stop)
    return np.fromiter(map(step, range(first, stop)), np.float64, stop - first)


@settings
class Constant(StepSize):
    """alpha_k = alpha (Theorems 1, 2(1) and 3, Figure 2(a)).

    Attributes:
        alpha: The step size of every iteration.
    """

    alpha: Positive

    @override
    def plan(self, samples: int | None) -> Callable[[int], float]:
        return Same(self.alpha)


def _factor(c: float | str) -> float:
    """Return 6 of "6n", 1 of "n", and a number itself."""
    return float(c.removesuffix("n") or 1) if isinstance(c, str) else float(c)


def _multiple(c: object) -> float | str:
    if isinstance(c, float | int) and not isinstance(c, bool) and 0 < c <= sys.float_info.max:
        return c
    if isinstance(c, str) and re.fullmatch(r"((\d+\.?\d*|\.\d+)(e[+-]?\d+)?)?n", c) and 0 < _factor(c) < math.inf:
        return c
    raise ValueError('a number > 0 or a multiple of n such as "6n"')


@settings
class Harmonic(StepSize):
    """alpha_k = c / (k + k0) (Theorem 2(2); Figure 2(b) with c = "6n" and k0 = 1).

    Attributes:
        c: A number > 0, or a multiple of the number of samples such as "6n".
        k0: What is added to k.
    """

    c: Annotated[float | str, PlainValidator(_multiple)]
    k0: Positive = 1.0

    @override
    def plan(self, samples: int | None) -> Callable[[int], float]:
        c, k0 = self._constant(samples), self.k0
        return lambda k: c / (k + k0)

    def _constant(self, samples: int | None) -> float:
        if not isinstance(self.c, str):
            return float(self.c)
        if samples is None:
            raise InputError("c", f"{shown(self.c)} needs a problem with data, and this one has none")
        return _factor(self.c) * samples


STEPS: Registry[StepSize] = Registry("steps", StepSize, constant=Constant, harmonic=Harmonic)
