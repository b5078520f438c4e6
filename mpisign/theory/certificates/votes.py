"""The law of a round of Algorithm 3: what M workers' votes and norms can be, each with its probability."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import product
from typing import Literal

from mpisign.theory.certificates.laws import Outcome, sign

Signs = tuple[int, ...]
Zeros = Literal["exact", "coin", "plus"]
_Row = tuple[Signs, Fraction, Fraction]
Round = dict[tuple[Signs, Fraction], Fraction]
"""The probability of each (vote, sum of the workers' norms)."""


def round_law(outcomes: Iterable[Outcome], workers: int, zeros: Zeros = "exact", decoupled: bool = False) -> Round:
    """Return the law of (v, N^1 + ... + N^M) of independent workers that share the law of a stochastic gradient.

    Args:
        outcomes: The law of one worker's g~.
        workers: M.
        zeros: What a zero sign and a tied vote become: 0, a fair coin's, or +1.
        decoupled: Whether the norm is that of a second, independent draw.
    """
    one = _messages(list(outcomes), zeros, decoupled)
    if workers == 1:
        return one
    sums = one
    for _ in range(workers - 1):
        sums = _added(sums, one)
    return _merged(_resolved(((total, norm, weight) for (total, norm), weight in sums.items()), zeros))


def _messages(outcomes: list[Outcome], zeros: Zeros, decoupled: bool) -> Round:
    """Return the law of what one worker sends: its signs and its norm."""
    signs = [(tuple(map(sign, value)), weight) for weight, value in outcomes]
    norms = [(Fraction(sum(map(abs, value))), weight) for weight, value in outcomes]
    if decoupled:
        pairs = [(row, norm, one * other) for row, one in signs for norm, other in norms]
        # The gradient that carries both is 0 where either draw is: a draw of zeros has no sign to carry a norm.
        none = (tuple(0 for _ in signs[0][0]), Fraction(0))
        sent = [((row, norm) if any(row) and norm else none) + (weight,) for row, norm, weight in pairs]
    else:
        sent = [(row, norm, weight) for (row, weight), (norm, _) in zip(signs, norms, strict=True)]
    return _merged(_resolved(sent, zeros))


def _resolved(rows: Iterable[_Row], zeros: Zeros) -> Iterator[_Row]:
    """Yield the rows with the signs of their sums of signs, and with what zeros become."""
    becomes = {"exact": (0,), "coin": (-1, 1), "plus": (1,)}[zeros]
    for total, norm, weight in rows:
        votes = list(product(*((sign(value),) if value else becomes for value in total)))
        share = weight if len(votes) == 1 else weight / len(votes)
        for vote in votes:
            yield vote, norm, share


def _added(sums: Round, one: Round) -> Round:
    """Return the law of the sums with one more worker."""
    return _merged(
        (tuple(a + b for a, b in zip(total, row, strict=True)), norm + own, weight * share)
        for (total, norm), weight in sums.items()
        for (row, own), share in one.items()
    )


def _merged(rows: Iterable[_Row]) -> Round:
    """Return the rows with the weights of equal ones added."""
    found: Round = {}
    for signs, norm, weight in rows:
        key = signs, norm
        found[key] = found[key] + weight if key in found else weight
    return found
