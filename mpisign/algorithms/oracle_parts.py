"""The stochastic gradients of `mpisign.algorithms.oracles`, as functions that run plain or compiled.

Each is returned by a function that is given the problem's own `gradient(parameters, x, out)` or
`minibatch(parameters, x, samples, out)`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mpisign.arrays import Floats, Indices
from mpisign.compiled.draws import draw_below, draw_weighted, fill_normal, fill_uniform
from mpisign.compiled.subsets import Room, draw_subset
from mpisign.problems.base import WriteSlice

Write = Callable[..., None]


def exact(gradient: Write) -> Write:
    """Return the exact gradient."""

    def source(p: Any, x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
        gradient(p, x, out)

    return source


class Uniform(NamedTuple):
    """The problem's parameters, n, and room for the numbers of the data points."""

    problem: Any
    samples: int
    drawn: Indices


def uniform(minibatch: Write) -> Write:
    """Return the mean gradient of data points that are all as likely."""

    def source(p: Uniform, x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
        draw_below(generator, p.samples, p.drawn)
        minibatch(p.problem, x, p.drawn, out)

    return source


class Weighted(NamedTuple):
    """The problem's parameters, the cumulated weights, and room for the numbers of the data points."""

    problem: Any
    edges: Floats
    drawn: Indices


def weighted(minibatch: Write) -> Write:
    """Return the mean gradient of data points with weights."""

    def source(p: Weighted, x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
        draw_weighted(generator, p.edges, p.drawn)
        minibatch(p.problem, x, p.drawn, out)

    return source


class Sharded(NamedTuple):
    """The problem's parameters, n, M, and room for the numbers of the data points and for drawing them."""

    problem: Any
    samples: int
    workers: int
    drawn: Indices
    room: Room


def sharded(minibatch: Write) -> Write:
    """Return the mean gradient of different data points among those that the worker owns: w, w + M, w + 2M, ..."""

    def source(p: Sharded, x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
        owned = (p.samples - worker + p.workers - 1) // p.workers
        draw_subset(generator, owned, p.room, p.drawn)
        np.multiply(p.drawn, p.workers, p.drawn)
        np.add(p.drawn, worker, p.drawn)
        minibatch(p.problem, x, p.drawn, out)

    return source


class Noisy(NamedTuple):
    """The problem's parameters and those of the noise.

    Attributes:
        problem: The problem's.
        noise: Room for the noise, shape (d,).
        size: Of the noise.
        half: 1/2 - q, for three-point noise.
    """

    problem: Any
    noise: Floats
    size: float
    half: float


def normal(gradient: Write) -> Write:
    """Return the gradient with normal noise."""

    def source(p: Noisy, x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
        gradient(p.problem, x, out)
        fill_normal(generator, p.noise)
        np.multiply(p.noise, p.size, p.noise)
        np.add(out, p.noise, out)

    return source


def centred(gradient: Write) -> Write:
    """Return the gradient with uniform noise on [-size, size]."""

    def source(p: Noisy, x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
        gradient(p.problem, x, out)
        fill_uniform(generator, p.noise)
        np.subtract(p.noise, 0.5, p.noise)
        np.multiply(p.noise, 2 * p.size, p.noise)
        np.add(out, p.noise, out)

    return source


def three_point(gradient: Write) -> Write:
    """Return the gradient with noise -size, 0 or size."""

    def source(p: Noisy, x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
        gradient(p.problem, x, out)
        # (u - 1/2) / (1/2 - q), cut towards 0, is 0 between q and 1 - q and at least 1 in size beyond: no temporary.
        fill_uniform(generator, p.noise)
        np.subtract(p.noise, 0.5, p.noise)
        np.divide(p.noise, p.half, p.noise)
        np.trunc(p.noise, p.noise)
        np.clip(p.noise, -1.0, 1.0, p.noise)
        np.multiply(p.noise, p.size, p.noise)
        np.add(out, p.noise, out)

    return source


def in_slices(text: Callable[[Write], Write], noise: Noisy, generator: np.random.Generator) -> WriteSlice:
    """Return write(start, out) of a gradient with noise: the same numbers, drawn slice by slice.

    Args:
        text: `normal`, `centred` or `three_point`.
        noise: Its parameters, with write(start, out) of the exact gradient as the problem, and room for a slice.
        generator: Of this gradient.
    """

    def write(start: int, out: Floats) -> None:
        source = text(lambda exact, x, out: exact(start, out))
        source(noise._replace(noise=noise.noise[: len(out)]), out, 0, generator, out)

    return write
