"""How a gradient becomes stochastic (Assumption 4).

An oracle is planned once per run and then asked: `plan` returns the function that writes worker w's
stochastic gradient at x into `out`, using nothing but the generator that it is given. To add one, write a class with
`source`, and name it in ORACLES.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from typing_extensions import override

from mpisign.algorithms import oracle_parts as parts
from mpisign.algorithms.finite_oracles import Paired, Sideways
from mpisign.algorithms.oracle_base import Oracle as Oracle
from mpisign.algorithms.oracle_base import Source as Source
from mpisign.compiled.subsets import room_for
from mpisign.compiled.text import composed
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
        inner = problem.gradient_part()
        return composed(parts.exact, inner.parameters, inner).function()


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
        inner, drawn = problem.minibatch_part(), np.empty(self.batch, dtype=np.int64)
        if problem.weights is None:
            return composed(parts.uniform, parts.Uniform(inner.parameters, samples, drawn), inner).function()
        edges = np.cumsum(problem.weights)
        edges[-1] = 1.0  # above every number drawn, whatever the sum rounds to
        return composed(parts.weighted, parts.Weighted(inner.parameters, edges, drawn), inner).function()

    def _shard(self, problem: Problem, samples: int, workers: int) -> Source:
        if problem.weights is not None:
            raise InputError("sampling", 'expected "iid": this problem\'s data points have weights')
        if self.batch > samples // workers:
            raise InputError(
                "batch",
                f"expected at most {samples // workers}, the part of each of {workers} workers in {samples} "
                f"data points, got {self.batch}",
            )
        inner, part = problem.minibatch_part(), samples // workers
        room = room_for(range(part, part + 2), self.batch)  # some workers own one point more than others
        drawn = np.empty(self.batch, dtype=np.int64)
        parameters = parts.Sharded(inner.parameters, samples, workers, drawn, room)
        return composed(parts.sharded, parameters, inner).function()


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
        inner = problem.gradient_part()
        write = {"normal": parts.normal, "uniform": parts.centred, "three-point": parts.three_point}[self.noise]
        half = max(0.5 - (self.q or 0.0), float(np.finfo(float).tiny))
        noise = parts.Noisy(inner.parameters, np.empty(problem.dimension), float(self.size), half)
        return composed(write, noise, inner).function()


ORACLES: Registry[Oracle] = Registry(
    "oracles", Oracle, full=Full, minibatch=Minibatch, additive=Additive, paired=Paired, sideways=Sideways
)
