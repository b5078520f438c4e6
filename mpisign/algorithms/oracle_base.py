"""What an oracle is to everything else: a source of stochastic gradients, planned once per run and then asked."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, TypeAlias

import numpy as np
from pydantic import Field

from mpisign.arrays import Floats
from mpisign.config.validation import InputError, settings
from mpisign.fixed_order import l1_norm
from mpisign.problems import Problem
from mpisign.theory.noise import Noise

Source: TypeAlias = Callable[[Floats, int, np.random.Generator, Floats], None]
"""source(x, worker, generator, out): out[:] = the worker's stochastic gradient at x; shapes (d,)."""


@settings
class Oracle(ABC):
    """A source of stochastic gradients.

    Attributes:
        decoupled: Whether signs and l1 norm come from two independent draws.
        flipped: The first so many workers send -g~.
    """

    decoupled: bool = False
    flipped: Annotated[int, Field(ge=0)] = 0

    @abstractmethod
    def source(self, problem: Problem, workers: int) -> Source:
        """Return the gradients of `workers` workers; raises InputError when the problem cannot give them."""

    def assumption4(self, problem: Problem) -> Noise:
        """Return what is known of g~ - g for an honest worker; see `mpisign.theory.noise`."""
        return Noise()

    def plan(self, problem: Problem, workers: int) -> Source:
        """Return what is asked for each gradient: `source`, decoupled and flipped as set; it raises what that does."""
        if self.flipped > workers:
            raise InputError("flipped", f"expected at most {workers}, the number of workers, got {self.flipped}")
        source = self.source(problem, workers)
        if self.decoupled:
            source = _decoupled(source, np.empty(problem.dimension))
        return _flipped(source, self.flipped) if self.flipped else source


def _decoupled(source: Source, second: Floats) -> Source:
    """Return the signs of one draw with the l1 norm of another, which (34) takes for granted of one and the same draw.

    A draw of zeros has no sign to carry a norm, and stays as it is.
    """

    def gradient(x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
        source(x, worker, generator, out)
        source(x, worker, generator, second)
        own = l1_norm(out)
        if own > 0:
            out *= l1_norm(second) / own

    return gradient


def _flipped(source: Source, count: int) -> Source:
    def gradient(x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
        source(x, worker, generator, out)
        if worker < count:
            np.negative(out, out=out)

    return gradient
