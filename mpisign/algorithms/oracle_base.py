"""What an oracle is to everything else: a source of stochastic gradients, planned once per run and then asked."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from pydantic import Field

from mpisign.arrays import Floats
from mpisign.compiled.text import Part, composed, part_of
from mpisign.config.validation import InputError, settings
from mpisign.fixed_order import l1_norm
from mpisign.problems import Problem
from mpisign.problems.base import WriteSlice
from mpisign.theory.noise import Noise

Source: TypeAlias = Callable[[Floats, int, np.random.Generator, Floats], None]
"""source(x, worker, generator, out): out[:] = the worker's stochastic gradient at x; shapes (d,)."""

Slices: TypeAlias = Callable[[Floats, int, np.random.Generator], WriteSlice]
"""slices(x, worker, generator) -> write(start, out): what a `Source` writes, slice by slice.

A slice is `mpisign.aggregation.bitplanes.SLICE` coordinates, the last one what is left."""


@settings
class Oracle(ABC):
    """A source of stochastic gradients.

    Attributes:
        decoupled: Whether signs and l1 norm come from two independent draws.
        flipped: The first so many workers send -g~.
        slices_in_order: Whether slices of a gradient have to be made in their order, one at a time.
    """

    slices_in_order: ClassVar[bool] = True
    decoupled: bool = False
    flipped: Annotated[int, Field(ge=0)] = 0

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if {"source", "plan"} & vars(cls).keys() and "slices" not in vars(cls):  # another source has other slices
            cls.slices = Oracle.slices  # type: ignore[method-assign]
        if "slices" in vars(cls) and "slices_in_order" not in vars(cls):
            cls.slices_in_order = True

    @abstractmethod
    def source(self, problem: Problem, workers: int) -> Source:
        """Return the gradients of `workers` workers; raises InputError when the problem cannot give them."""

    def slices(self, problem: Problem, workers: int) -> Slices | None:
        """Return `source` slice by slice, with the same bits, of a problem that has slices; None where that cannot be.

        Signs are packed as they are made then.
        """
        return None

    def assumption4(self, problem: Problem) -> Noise:
        """Return what is known of g~ - g for an honest worker; see `mpisign.theory.noise`."""
        return Noise()

    def plan(self, problem: Problem, workers: int) -> Source:
        """Return what is asked for each gradient: `source`, decoupled and flipped as set; it raises what that does."""
        if self.flipped > workers:
            raise InputError("flipped", f"expected at most {workers}, the number of workers, got {self.flipped}")
        source = self.source(problem, workers)
        if self.decoupled:
            source = _decoupled(part_of(source), np.empty(problem.dimension, dtype=problem.real)).function()
        if self.flipped:
            source = _flipped(part_of(source), self.flipped).function()
        return source if problem.real is np.float64 else _in_float32(source)

    def plan_slices(self, problem: Problem, workers: int) -> Slices | None:
        """Return the same as `plan`, slice by slice; None where gradients are made as a whole."""
        slices = self.slices(problem, workers) if problem.has_slices and not self.decoupled else None
        return slices and _flipped_slices(slices, self.flipped)


def _flipped_slices(slices: Slices, flipped: int) -> Slices:
    def gradient(x: Floats, worker: int, generator: np.random.Generator) -> WriteSlice:
        write = slices(x, worker, generator)
        return write if worker >= flipped else _negative(write)

    return gradient


def _negative(write: WriteSlice) -> WriteSlice:
    def write_negative(start: int, out: Floats) -> None:
        write(start, out)
        np.negative(out, out)

    return write_negative


def _in_float32(source: Source) -> Source:
    """Return a source that takes points in float64, too: a method may ask at one that it remembers."""

    def gradient(x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
        source(x.astype(np.float32, copy=False), worker, generator, out)

    return gradient


class _Two(NamedTuple):
    """The parameters of a source, and room for its second draw."""

    source: Any
    second: Floats


def _decoupled(source: Part, second: Floats) -> Part:
    """Return the signs of one draw with the l1 norm of another, which (34) takes for granted of one and the same draw.

    A draw of zeros has no sign to carry a norm, and stays as it is.
    """
    return composed(_twice, _Two(source.parameters, second), source)


def _twice(source: Callable[..., None]) -> Callable[..., None]:
    def gradient(p: _Two, x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
        source(p.source, x, worker, generator, out)
        source(p.source, x, worker, generator, p.second)
        own = l1_norm(out)
        if own > 0:
            out *= l1_norm(p.second) / own

    return gradient


class _First(NamedTuple):
    """The parameters of a source, and how many workers are flipped."""

    source: Any
    flipped: int


def _flipped(source: Part, count: int) -> Part:
    """Return -g~ for the first so many workers."""
    return composed(_negated, _First(source.parameters, count), source)


def _negated(source: Callable[..., None]) -> Callable[..., None]:
    def gradient(p: _First, x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
        source(p.source, x, worker, generator, out)
        if worker < p.flipped:
            np.negative(out, out)

    return gradient
