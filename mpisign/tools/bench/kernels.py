"""Time the bit kernels against numpy's passes over memory."""

from collections.abc import Callable, Iterator

import numpy as np

from mpisign.aggregation import bitplanes, majority_vote
from mpisign.arrays import Words
from mpisign.tools.bench.timing import Effort, Ratio, Time, compare, fill, seconds

_DIMENSION = 2**20
"""Length of the vectors that are packed and applied, 8 MB each."""


def kernels(effort: Effort) -> Iterator[Ratio]:
    """Compare packing with a sum, and applying a vote with an addition."""
    vector = np.random.default_rng(0).standard_normal(_DIMENSION)
    strict = np.zeros(bitplanes.words(_DIMENSION), dtype=np.uint64)
    x = np.zeros(_DIMENSION)
    yield compare(
        f"pack with the l1 norm / numpy.sum, d = {_DIMENSION}",
        lambda: bitplanes.pack(vector, strict),
        lambda: np.sum(vector),
        effort,
        "<= 1.5",
    )
    yield compare(
        f"apply a packed vote / numpy.add, d = {_DIMENSION}",
        lambda: bitplanes.subtract(x, 1e-9, strict),
        lambda: np.add(x, 1e-9, out=x),
        effort,
        "<= 1.5",
    )


_BALLOTS = 64
"""Number of ballots in the vote that is timed over d."""


def curves(effort: Effort) -> Iterator[Time]:
    """Time packing, applying and a vote of 64, in this process, over d."""
    for dimension in effort.dimensions:
        vector = np.random.default_rng(0).standard_normal(dimension)
        strict, weak = np.zeros((2, bitplanes.words(dimension)), dtype=np.uint64)
        yield _time("pack", 1, dimension, lambda: bitplanes.pack(vector, strict), effort)  # noqa: B023
        yield _time("apply", 1, dimension, lambda: bitplanes.subtract(vector, 1e-9, strict), effort)  # noqa: B023
        rows: Words = np.random.default_rng(0).integers(0, 2**64, (_BALLOTS, len(strict)), dtype=np.uint64)
        yield _time("vote", _BALLOTS, dimension, lambda: majority_vote.vote(rows, rows[:0], strict, weak), effort)  # noqa: B023


def _time(what: str, ranks: int, dimension: int, call: Callable[[], object], effort: Effort) -> Time:
    """Return the times of a call, slice by slice."""
    calls = fill(call, effort)
    return Time(what, "", ranks, dimension, [seconds(call, calls) for _ in range(effort.slices)])


def vote(dimension: int, workers: int, effort: Effort) -> Iterator[Ratio]:
    """Compare a vote with a plain sum, and with one that is told the smallest type that holds the counts."""
    width = bitplanes.words(dimension)
    rows: Words = np.random.default_rng(0).integers(0, 2**64, (workers, width), dtype=np.uint64)
    strict, weak = np.zeros((2, width), dtype=np.uint64)
    nobody, bits = rows[:0], rows.view(np.uint8)
    goals = {"sum": ">= 15" if (dimension, workers) == (2**20, 15) else ">= 10", "sum in uint8": ""}
    for what, dtype in (("sum", None), ("sum in uint8", np.uint8)):
        yield compare(
            f"numpy.unpackbits and a {what} / vote, M = {workers}, d = {dimension}",
            lambda dtype=dtype: np.unpackbits(bits, axis=1, bitorder="little").sum(axis=0, dtype=dtype),  # type: ignore[misc]
            lambda: majority_vote.vote(rows, nobody, strict, weak),
            effort,
            goals[what],
        )


def vote_reads(effort: Effort) -> Iterator[Ratio]:
    """Compare a vote with one read of the ballots, and for many workers with unpacking."""
    strict, weak = np.zeros((2, bitplanes.words(effort.longest)), dtype=np.uint64)
    for workers in (15, 63):
        rows: Words = np.random.default_rng(0).integers(0, 2**64, (workers, len(strict)), dtype=np.uint64)
        what = f"vote / numpy.sum of its ballots as words, M = {workers}, d = {effort.longest}"
        vote_of = lambda: majority_vote.vote(rows, rows[:0], strict, weak)  # noqa: B023, E731
        yield compare(what, vote_of, lambda: np.sum(rows), effort, "<= 3" if workers == 15 else "")  # noqa: B023
    yield from vote(2**20, 63, effort)
