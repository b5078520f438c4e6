"""The learning rates alpha_k."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable

from mpisign.registry import Registry
from mpisign.settings import BadInput, Positive, settings


class Step(ABC):
    """A rule for alpha_k > 0."""

    @abstractmethod
    def plan(self, samples: int | None) -> Callable[[int], float]:
        """k -> alpha_k, for a problem with n = `samples` data points (None: it has no data)."""


@settings
class Constant(Step):
    """alpha_k = alpha (Theorems 1, 2(1) and 3, Figure 2(a))"""

    alpha: Positive

    def plan(self, samples: int | None) -> Callable[[int], float]:
        return lambda k: self.alpha


@settings
class Harmonic(Step):
    """alpha_k = c / (k + k0) (Theorem 2(2); Figure 2(b) with c = "6n" and k0 = 1)

    c: a number, or a multiple of the number of samples such as "6n".
    """

    c: float | str
    k0: Positive = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.c, float | int):
            if not self.c > 0:
                raise BadInput("c", f"expected a number > 0, got {self.c!r}")
        elif not re.fullmatch(r"\d*\.?\d*(e[+-]?\d+)?n", self.c) or self._factor() == 0:
            raise BadInput("c", f'expected a number > 0 or a multiple of n such as "6n", got {self.c!r}')

    def _factor(self) -> float:
        return float(str(self.c).removesuffix("n") or 1)

    def plan(self, samples: int | None) -> Callable[[int], float]:
        c, k0 = self._constant(samples), self.k0
        return lambda k: c / (k + k0)

    def _constant(self, samples: int | None) -> float:
        if not isinstance(self.c, str):
            return float(self.c)
        if samples is None:
            raise BadInput("c", f"{self.c!r} needs a problem with data, and this one has none")
        return self._factor() * samples


STEPS: Registry[Step] = Registry("steps", constant=Constant, harmonic=Harmonic)
