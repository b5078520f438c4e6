"""Oracles with finitely many values that depend on x: those of the exact refutations of Theorems 2 and 3."""

from abc import abstractmethod
from typing import Annotated

import numpy as np
from pydantic import Field
from typing_extensions import override

from mpisign.algorithms.oracle_base import Oracle, Source
from mpisign.arrays import Floats
from mpisign.config.validation import InputError, Positive, settings
from mpisign.problems import Problem
from mpisign.theory.certificates.laws import Outcome, Vector, paired, sideways
from mpisign.theory.noise import Noise, paired_noise, sideways_noise


@settings
class _FiniteLaw(Oracle):
    """A gradient that has finitely many values where the exact one is g: `mpisign.theory.certificates.laws`.

    The certificates compute with the same law in fractions.
    """

    @abstractmethod
    def outcomes(self, gradient: Vector) -> list[Outcome]:
        """Return the values, with their probabilities, where the exact gradient is `gradient`."""

    @override
    def source(self, problem: Problem, workers: int) -> Source:
        def gradient(x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
            problem.gradient(x, out)
            left, outcomes = generator.random(), self.outcomes(tuple(out.tolist()))
            out[:] = outcomes[-1].gradient  # where the weights add up to less than the number drawn
            for weight, value in outcomes:
                left -= weight
                if left < 0:
                    out[:] = value
                    return

        return gradient


@settings
class Paired(_FiniteLaw):
    """One coordinate large and right, the others small and wrong; or all small and right (X1, X3).

    With probability e, for each coordinate i: g~_i is large and the other g~_j are -h m sign(g_j), m the least |g_j|;
    else every g~_j is h m sign(g_j). It is unbiased, and each sign is right with probability 1 - (d - 1) e. Where a
    g_j is 0 it is the exact gradient.

    Attributes:
        e: Probability of each large outcome, at most 1/d.
        h: Size of a small coordinate beside m.
        limit: Largest ||g||_1 with noise; beyond it the gradient is exact.
    """

    e: Annotated[float, Field(gt=0, le=0.5)]
    h: Annotated[float, Field(gt=0, le=1)]
    limit: Positive | None = None

    @override
    def outcomes(self, gradient: Vector) -> list[Outcome]:
        return paired(gradient, self.e, self.h, self.limit)

    @override
    def source(self, problem: Problem, workers: int) -> Source:
        if problem.dimension * self.e > 1:
            raise InputError("e", f"expected at most 1/d = 1/{problem.dimension}, got {self.e:.15g}")
        return _FiniteLaw.source(self, problem, workers)

    @override
    def assumption4(self, problem: Problem) -> Noise:
        return paired_noise(self.e, self.h, self.limit, problem.dimension)


@settings
class Sideways(_FiniteLaw):
    """Large in the second coordinate where the sign of the first is wrong (X5).

    g~ is (-h g_1, g_2 +- b |g_1|) with probability e/2 each, else (c g_1, g_2) with the c that makes it unbiased;
    further coordinates are exact.

    Attributes:
        e: Probability that the first sign is wrong.
        h: Size of a wrong first coordinate beside |g_1|.
        b: Size of the noise in the second coordinate beside |g_1|.
        limit: Largest |g_1| with noise; beyond it the gradient is exact.
    """

    e: Annotated[float, Field(gt=0, lt=1)]
    h: Positive
    b: Positive
    limit: Positive | None = None

    @override
    def outcomes(self, gradient: Vector) -> list[Outcome]:
        return sideways(gradient, self.e, self.h, self.b, self.limit)

    @override
    def source(self, problem: Problem, workers: int) -> Source:
        if problem.dimension < 2:
            raise InputError("kind", 'expected a problem with 2 coordinates or more for "sideways"')
        return _FiniteLaw.source(self, problem, workers)

    @override
    def assumption4(self, problem: Problem) -> Noise:
        return sideways_noise(self.e, self.h, self.b, self.limit, problem.dimension)
