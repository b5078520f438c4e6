"""Stochastic gradients with finitely many values, given the exact gradient.

A law is a list of outcomes, each with its probability. The functions compute with whatever numbers they are given:
floats in a simulation, fractions in a certificate, so that both have one law. Each is unbiased where it says so.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any, NamedTuple, TypeAlias

Number: TypeAlias = Any
"""A float or a Fraction; both in one law would be rounded."""
Vector: TypeAlias = tuple[Number, ...]


class Outcome(NamedTuple):
    """One value of a worker's stochastic gradient.

    Attributes:
        weight: Its probability.
        gradient: The value, of length d.
    """

    weight: Number
    gradient: Vector


Law: TypeAlias = Callable[[Vector], list[Outcome]]
"""law(g): the outcomes where the exact gradient is g; the same outcome may stand there more than once."""


def exact(gradient: Vector) -> list[Outcome]:
    """Return the exact gradient, with certainty."""
    return [Outcome(1, gradient)]


def finite_sum(gradient: Vector, atoms: Sequence[Vector], weights: Sequence[Number]) -> list[Outcome]:
    """Return g + c_i with probability w_i: a data point of a finite sum whose gradients differ by constants.

    Args:
        gradient: g.
        atoms: The c_i, which have mean 0.
        weights: The w_i, which add up to 1.
    """
    return [Outcome(weight, added(gradient, atom)) for weight, atom in zip(weights, atoms, strict=True)]


def mean_of_draws(atoms: Sequence[Vector], weights: Sequence[Number], batch: int) -> tuple[list[Vector], list[Number]]:
    """Return the values of the mean of `batch` independent draws, and the probability of each; equal ones are merged.

    There are at most C(n + batch - 1, batch) values for n atoms.

    Args:
        atoms: The values of one draw.
        weights: Their probabilities.
        batch: How many draws.
    """
    sums: dict[Vector, Number] = {(0,) * len(atoms[0]): 1}
    for _ in range(batch):
        longer: dict[Vector, Number] = {}
        for total, weight in sums.items():
            for share, atom in zip(weights, atoms, strict=True):
                reached = added(total, atom)
                longer[reached] = longer.get(reached, 0) + weight * share
        sums = longer
    return [tuple(value / batch for value in total) for total in sums], list(sums.values())


def three_point(gradient: Vector, size: Number, q: Number) -> list[Outcome]:
    """Return g + n, the n_i independent of each other: +-size with probability q each, else 0."""
    noise = ((q, -size), (q, size), (1 - 2 * q, 0 * size))
    outcomes = []
    for drawn in product(noise, repeat=len(gradient)):
        weight = drawn[0][0]
        for other, _ in drawn[1:]:
            weight *= other
        outcomes.append(Outcome(weight, added(gradient, tuple(value for _, value in drawn))))
    return outcomes


def paired(gradient: Vector, e: Number, h: Number, limit: Number = None) -> list[Outcome]:
    """Return a law whose signs are wrong exactly where its norm is large (the oracle of the examples X1 and X3).

    With probability e, for each i: coordinate i is a_i sign g_i, the others are -h m sign g_j, m the least |g_j|. Else
    every coordinate is h m sign g_j. a_i makes it unbiased. Each sign is right with probability 1 - (d - 1) e. Where
    a g_j is 0, or ||g||_1 is above `limit`, it is the exact gradient.

    Args:
        gradient: g.
        e: Probability of each large outcome, at most 1/d.
        h: Size of a small coordinate beside m, at most 1.
        limit: Largest ||g||_1 with noise; None for no limit.
    """
    sizes = [abs(value) for value in gradient]
    if min(sizes) == 0 or (limit is not None and sum(sizes) > limit):
        return exact(gradient)
    d, small = len(sizes), h * min(sizes)
    signs = [1 if value > 0 else -1 for value in gradient]
    outcomes = [Outcome(1 - d * e, tuple(small * sign for sign in signs))]
    for i in range(d):
        values = [-small * sign for sign in signs]
        values[i] = (sizes[i] + (d - 1) * e * small - (1 - d * e) * small) / e * signs[i]
        outcomes.append(Outcome(e, tuple(values)))
    return outcomes


def sideways(gradient: Vector, e: Number, h: Number, b: Number, limit: Number = None) -> list[Outcome]:
    """Return a law that is large in the second coordinate where the sign of the first is wrong (the oracle of X5).

    With probability e/2 each (-h g_1, g_2 +- b |g_1|), else (c g_1, g_2) with c = (1 + e h) / (1 - e), which makes it
    unbiased; further coordinates are exact. Where |g_1| is above `limit` it is the exact gradient.

    Args:
        gradient: g, of length 2 or more.
        e: Probability of a wrong first sign.
        h: Size of a wrong first coordinate beside |g_1|.
        b: Size of the noise in the second coordinate beside |g_1|.
        limit: Largest |g_1| with noise; None for no limit.
    """
    first, second, *others = gradient
    if limit is not None and abs(first) > limit:
        return exact(gradient)
    large = b * abs(first)
    return [
        Outcome(e / 2, (-h * first, second + large, *others)),
        Outcome(e / 2, (-h * first, second - large, *others)),
        Outcome(1 - e, ((1 + e * h) / (1 - e) * first, second, *others)),
    ]


def added(one: Vector, other: Vector) -> Vector:
    """Return the sum of two vectors."""
    return tuple(a + b if b else a for a, b in zip(one, other, strict=True))


def variance(gradient: Vector, outcomes: Iterable[Outcome]) -> Number:
    """Return E ||g~ - g||_1^2, the sigma^2 of (18) at this gradient."""
    return sum(
        weight * sum(abs(a - b) for a, b in zip(value, gradient, strict=True)) ** 2 for weight, value in outcomes
    )


def right_signs(gradient: Vector, outcomes: Sequence[Outcome]) -> list[Number]:
    """Return P(sign g~_i = sign g_i) for each i; where g_i = 0 that is P(g~_i = 0)."""
    return [
        sum(outcome.weight for outcome in outcomes if sign(outcome.gradient[i]) == sign(value))
        for i, value in enumerate(gradient)
    ]


def sign(value: Number) -> int:
    """Return -1, 0 or 1."""
    return int(value > 0) - int(value < 0)
