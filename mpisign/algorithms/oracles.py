"""How a gradient becomes stochastic (Assumption 4).

An oracle is planned once per run and then asked: `plan` returns the function that writes worker w's
stochastic gradient at x into `out`, using nothing but the generator that it is given. To add one, write a class with
`source`, and name it in ORACLES.
"""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from typing_extensions import override

from mpisign.aggregation.bitplanes import SLICE
from mpisign.algorithms import oracle_parts as parts
from mpisign.algorithms.finite_oracles import Paired, Sideways
from mpisign.algorithms.oracle_base import Oracle as Oracle
from mpisign.algorithms.oracle_base import Slices
from mpisign.algorithms.oracle_base import Source as Source
from mpisign.arrays import Floats
from mpisign.compiled.subsets import room_for
from mpisign.compiled.text import composed
from mpisign.config.registry import Registry
from mpisign.config.validation import Count, InputError, Positive, settings
from mpisign.problems import Problem
from mpisign.problems.base import WriteSlice
from mpisign.theory.noise import NONE, Noise, additive


@settings
class Full(Oracle):
    """The exact gradient, on every worker (Algorithm 1)."""

    slices_in_order: ClassVar[bool] = False

    @override
    def assumption4(self, problem: Problem) -> Noise:
        return NONE

    @override
    def source(self, problem: Problem, workers: int) -> Source:
        inner = problem.gradient_part()
        return composed(parts.exact, inner.parameters, inner).function()

    @override
    def slices(self, problem: Problem, workers: int) -> Slices:
        return lambda x, worker, generator: problem.gradient_slices(x)


@settings
class Minibatch(Oracle):
    """The mean gradient of `batch` data points (Remark 5).

    Attributes:
        batch: How many data points a worker draws in an iteration.
        sampling: "iid": drawn with replacement from all n points, each with its weight, by every worker, the i.i.d.
            estimates of Algorithm 3. "shard": worker w of M owns the points w, w + M, w + 2M, ... and draws `batch`
            different ones of them; fresh ones each iteration, so that each estimate is unbiased for its own part.
    """

    slices_in_order: ClassVar[bool] = False
    batch: Count
    sampling: Literal["iid", "shard"] = "iid"

    def assumption4(self, problem: Problem) -> Noise:
        """Return nothing known of shards: a worker's own part is not f, and Assumption 4 does not hold."""
        return problem.noise(self.batch) if self.sampling == "iid" else Noise()

    @override
    def source(self, problem: Problem, workers: int) -> Source:
        inner = problem.minibatch_part()
        text, parameters = self._drawing(problem, workers, inner.parameters)
        return composed(text, parameters, inner).function()

    @override
    def slices(self, problem: Problem, workers: int) -> Slices:
        made: list[WriteSlice] = []
        text, parameters = self._drawing(problem, workers, ())
        draw = text(lambda p, x, samples, out: made.append(problem.minibatch_slices(x, samples)))

        def gradient(x: Floats, worker: int, generator: np.random.Generator) -> WriteSlice:
            draw(parameters, x, worker, generator, x)
            return made.pop()

        return gradient

    def _drawing(self, problem: Problem, workers: int, inner: Any) -> tuple[Callable[[parts.Write], parts.Write], Any]:
        """Return the text that draws data points, and its parameters; inner: those of the problem."""
        samples, drawn = problem.samples, np.empty(self.batch, dtype=np.int64)
        if samples is None:
            raise InputError("kind", 'expected "full" or "additive": this problem has no data points to draw')
        if self.sampling == "shard":
            self._check_shards(problem, samples, workers)
            part = samples // workers
            room = room_for(range(part, part + 2), self.batch)  # some workers own one point more than others
            return parts.sharded, parts.Sharded(inner, samples, workers, drawn, room)
        if problem.weights is None:
            return parts.uniform, parts.Uniform(inner, samples, drawn)
        edges = np.cumsum(problem.weights)
        edges[-1] = 1.0  # above every number drawn, whatever the sum rounds to
        return parts.weighted, parts.Weighted(inner, edges, drawn)

    def _check_shards(self, problem: Problem, samples: int, workers: int) -> None:
        if problem.weights is not None:
            raise InputError("sampling", 'expected "iid": this problem\'s data points have weights')
        if self.batch > samples // workers:
            raise InputError(
                "batch",
                f"expected at most {samples // workers}, the part of each of {workers} workers in {samples} "
                f"data points, got {self.batch}",
            )


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
        noise = parts.Noisy(inner.parameters, np.empty(problem.dimension), float(self.size), self._half)
        return composed(self._write, noise, inner).function()

    @override
    def slices(self, problem: Problem, workers: int) -> Slices:
        room = np.empty(min(SLICE, problem.dimension))

        def noisy(x: Floats, worker: int, generator: np.random.Generator) -> WriteSlice:
            noise = parts.Noisy(problem.gradient_slices(x), room, float(self.size), self._half)
            return parts.in_slices(self._write, noise, generator)

        return noisy

    @property
    def _half(self) -> float:
        return max(0.5 - (self.q or 0.0), float(np.finfo(float).tiny))

    @property
    def _write(self) -> Callable[[parts.Write], parts.Write]:
        return {"normal": parts.normal, "uniform": parts.centred, "three-point": parts.three_point}[self.noise]


ORACLES: Registry[Oracle] = Registry(
    "oracles", Oracle, full=Full, minibatch=Minibatch, additive=Additive, paired=Paired, sideways=Sideways
)
