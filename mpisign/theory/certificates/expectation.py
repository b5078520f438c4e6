"""E V_k of scaled-sign on a quadratic, exactly: every outcome of every round, with equal states merged."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple

from mpisign.theory.certificates.laws import Law, Outcome, Vector, right_signs, variance
from mpisign.theory.certificates.quadratics import Matrix, times
from mpisign.theory.certificates.votes import Signs, Zeros, round_law


class Process(NamedTuple):
    """A run of scaled-sign whose stochastic gradient has finitely many values.

    Attributes:
        matrix: H of f(x) = x'Hx / 2, of shape (d, d).
        start: x_0.
        law: The outcomes of one worker's g~, given the exact gradient.
        step_size: k -> alpha_k, what multiplies the l1 norm.
        workers: M.
        zeros: What zero signs and ties become.
        decoupled: Whether the norm comes from a second draw.
    """

    matrix: Matrix
    start: Vector
    law: Law
    step_size: Callable[[int], Fraction]
    workers: int = 1
    zeros: Zeros = "exact"
    decoupled: bool = False


class Noise(NamedTuple):
    """What Assumption 4 and p_min are at the states of some x_k.

    Attributes:
        sigma2: The largest E ||g~ - g||_1^2.
        p_min: The least P(sign g~_i = sign g_i) over the i with g_i != 0; 1 where there is none.
        p_min_literal: The same over all i.
    """

    sigma2: Fraction
    p_min: Fraction
    p_min_literal: Fraction


class Moment(NamedTuple):
    """What is known at one k.

    Attributes:
        k: The iteration.
        gap: E f(x_k) - f*.
        states: How many different gradients x_k can have.
        noise: Constants over the states of x_0, ..., x_{k-1}, which is what led to x_k; None at k = 0.
    """

    k: int
    gap: Fraction
    states: int
    noise: Noise | None


class TooManyStates(Exception):
    """There are more states than were allowed.

    Args:
        k: The iteration that has too many.
    """

    def __init__(self, k: int):
        super().__init__(k)
        self.k = k


_States = dict[Vector, tuple[Fraction, Vector]]
"""By the gradient: the probability, and one of the x that have this gradient. f, and every law, depend on Hx alone."""


def moments(process: Process, most: int) -> Iterator[Moment]:
    """Yield E V_k for k = 0, 1, 2, ..., without an end.

    Args:
        process: The run.
        most: Largest number of states.

    Raises:
        TooManyStates: If x_k has more than `most` states.
    """
    states: _States = {times(process.matrix, process.start): (Fraction(1), process.start)}
    k, noise = 0, None
    while True:
        yield Moment(k, _gap(states), len(states), noise)
        states, noise = _next(process, states, k, most, noise)
        k += 1


def _gap(states: _States) -> Fraction:
    """Return E f(x) = E x'g / 2."""
    doubled = (w * sum(a * b for a, b in zip(x, g, strict=True)) for g, (w, x) in states.items())
    return sum(doubled, Fraction(0)) / 2


def _next(process: Process, states: _States, k: int, most: int, noise: Noise | None) -> tuple[_States, Noise]:
    """Return the states after one iteration, and the noise with that of these states."""
    found: _States = {}
    turned: dict[Signs, Vector] = {}
    alpha = process.step_size(k) / process.workers
    for gradient, (weight, x) in states.items():
        outcomes = process.law(gradient)
        noise = _worse(noise, gradient, outcomes)
        rounds = round_law(outcomes, process.workers, process.zeros, process.decoupled)
        for (vote, norm), share in rounds.items():
            if vote not in turned:
                turned[vote] = times(process.matrix, [Fraction(sign) for sign in vote])
            length = alpha * norm
            reached = _moved(gradient, length, turned[vote])
            if reached in found:
                before, same = found[reached]
                found[reached] = before + weight * share, same
            else:
                found[reached] = weight * share, _moved(x, length, vote)
        if len(found) > most:
            raise TooManyStates(k + 1)
    assert noise is not None
    return found, noise


def _moved(point: Vector, length: Fraction, direction: Vector | Signs) -> Vector:
    """Return point - length direction."""
    return tuple(a - length * s if s else a for a, s in zip(point, direction, strict=True))


def _worse(noise: Noise | None, gradient: Vector, outcomes: list[Outcome]) -> Noise:
    """Return the constants with those at one more state."""
    known = noise or Noise(Fraction(0), Fraction(1), Fraction(1))
    right = right_signs(gradient, outcomes)
    moving = [p for p, g in zip(right, gradient, strict=True) if g]
    return Noise(
        max(known.sigma2, variance(gradient, outcomes)),
        min([known.p_min, *moving]),
        min([known.p_min_literal, *right]),
    )
