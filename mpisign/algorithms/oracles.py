"""How a gradient becomes stochastic (Assumption 4).

An oracle is planned once per run and then asked: `plan` returns the function that writes worker w's
stochastic gradient at x into `out`, using nothing but the generator that it is given. To add one, write a class with
`source`, and name it in ORACLES.
"""

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from typing_extensions import override

from mpisign.algorithms.finite_oracles import Paired, Sideways
from mpisign.algorithms.oracle_base import Oracle as Oracle
from mpisign.algorithms.oracle_base import Source as Source
from mpisign.arrays import Floats, Indices
from mpisign.config.registry import Registry
from mpisign.config.validation import Count, InputError, Positive, settings
from mpisign.problems import Problem
from mpisign.theory.noise import NONE, Noise, additive


@settings
class Full(Oracle):
    """The exact gradient, on every worker (Algorithm 1)."""

    @override
    def assumption4(self, problem: Problem) -> Noise:
        return NONE

    @override
    def source(self, problem: Problem, workers: int) -> Source:
        def gradient(x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
            problem.gradient(x, out)

        return gradient


@settings
class Minibatch(Oracle):
    """The mean gradient of `batch` data points (Remark 5).

    Attributes:
        batch: How many data points a worker draws in an iteration.
        sampling: "iid": drawn with replacement from all n points, each with its weight, by every worker, the i.i.d.
            estimates of Algorithm 3. "shard": worker w of M owns the points w, w + M, w + 2M, ... and draws `batch`
            different ones of them; fresh ones each iteration, so that each estimate is unbiased for its own part.
    """

    batch: Count
    sampling: Literal["iid", "shard"] = "iid"

    def assumption4(self, problem: Problem) -> Noise:
        """Return nothing known of shards: a worker's own part is not f, and Assumption 4 does not hold."""
        return problem.noise(self.batch) if self.sampling == "iid" else Noise()

    @override
    def source(self, problem: Problem, workers: int) -> Source:
        samples = problem.samples
        if samples is None:
            raise InputError("kind", 'expected "full" or "additive": this problem has no data points to draw')
        return self._iid(problem, samples) if self.sampling == "iid" else self._shard(problem, samples, workers)

    def _iid(self, problem: Problem, samples: int) -> Source:
        draw = _drawer(samples, problem.weights, self.batch)

        def gradient(x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
            problem.minibatch(x, draw(generator), out)

        return gradient

    def _shard(self, problem: Problem, samples: int, workers: int) -> Source:
        if problem.weights is not None:
            raise InputError("sampling", 'expected "iid": this problem\'s data points have weights')
        if self.batch > samples // workers:
            raise InputError(
                "batch",
                f"expected at most {samples // workers}, the part of each of {workers} workers in {samples} "
                f"data points, got {self.batch}",
            )

        def gradient(x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
            owned = len(range(worker, samples, workers))
            drawn = generator.choice(owned, size=self.batch, replace=False, shuffle=False)
            problem.minibatch(x, worker + workers * drawn, out)

        return gradient


def _drawer(samples: int, weights: Floats | None, batch: int) -> Callable[[np.random.Generator], Indices]:
    """Draw `batch` numbers of data points, with replacement."""
    if weights is None:
        return lambda generator: generator.integers(0, samples, size=batch)
    edges = np.cumsum(weights)
    edges[-1] = 1.0  # above every number drawn, whatever the sum rounds to
    return lambda generator: np.searchsorted(edges, generator.random(batch), side="right")


@settings
class Additive(Oracle):
    """The exact gradient plus noise, independent across coordinates, workers and iterations.

    Attributes:
        noise: "normal": N(0, size^2). "uniform": on [-size, size]. "three-point": +size and -size with probability q
            each, else 0 (the audit's finite law).
        size: The standard deviation of normal noise, the largest size of the others.
        q: The probability of +size, and of -size; with three-point noise, and only with it.
    """

    noise: Literal["normal", "uniform", "three-point"] = "normal"
    size: Positive
    q: Annotated[float, Field(gt=0, le=0.5)] | None = None

    def __post_init__(self) -> None:
        if (self.q is None) == (self.noise == "three-point"):
            raise InputError("q", 'expected with noise = "three-point", and only with it')

    @override
    def assumption4(self, problem: Problem) -> Noise:
        return additive(self.noise, self.size, self.q or 0.0, problem.dimension)

    @override
    def source(self, problem: Problem, workers: int) -> Source:
        noise = np.empty(problem.dimension)
        draw = {"normal": self._normal, "uniform": self._uniform, "three-point": self._three_point}[self.noise]

        def gradient(x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
            problem.gradient(x, out)
            draw(generator, noise)
            np.add(out, noise, out=out)

        return gradient

    def _normal(self, generator: np.random.Generator, noise: Floats) -> None:
        generator.standard_normal(out=noise)
        np.multiply(noise, self.size, out=noise)

    def _uniform(self, generator: np.random.Generator, noise: Floats) -> None:
        generator.random(out=noise)
        np.subtract(noise, 0.5, out=noise)
        np.multiply(noise, 2 * self.size, out=noise)

    def _three_point(self, generator: np.random.Generator, noise: Floats) -> None:
        # (u - 1/2) / (1/2 - q), cut towards 0, is 0 between q and 1 - q and at least 1 in size beyond: no temporary.
        generator.random(out=noise)
        np.subtract(noise, 0.5, out=noise)
        np.divide(noise, max(0.5 - (self.q or 0.0), np.finfo(float).tiny), out=noise)
        np.clip(np.trunc(noise, out=noise), -1.0, 1.0, out=noise)
        np.multiply(noise, self.size, out=noise)


ORACLES: Registry[Oracle] = Registry(
    "oracles", Oracle, full=Full, minibatch=Minibatch, additive=Additive, paired=Paired, sideways=Sideways
)
