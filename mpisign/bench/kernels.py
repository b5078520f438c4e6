"""The bit kernels against numpy's passes over memory."""

from collections.abc import Iterator

import numpy as np

from mpisign import ballots, planes
from mpisign.arrays import Words
from mpisign.bench.timing import Effort, Ratio, compare


def kernels(dimension: int, effort: Effort) -> Iterator[Ratio]:
    """Packing, and applying a vote."""
    vector = np.random.default_rng(0).standard_normal(dimension)
    strict = np.zeros(planes.words(dimension), dtype=np.uint64)
    x = np.zeros(dimension)
    yield compare(
        f"pack with the l1 norm / numpy.sum, d = {dimension}",
        lambda: planes.pack(vector, strict),
        lambda: np.sum(vector),
        effort,
        "<= 1.5",
    )
    yield compare(
        f"apply a packed vote / numpy.add, d = {dimension}",
        lambda: planes.subtract(x, 1e-9, strict),
        lambda: np.add(x, 1e-9, out=x),
        effort,
        "<= 1.5",
    )


def vote(dimension: int, workers: int, effort: Effort) -> Iterator[Ratio]:
    """Against a plain sum, and against one that is told the smallest type that holds the counts."""
    width = planes.words(dimension)
    rows: Words = np.random.default_rng(0).integers(0, 2**64, (workers, width), dtype=np.uint64)
    strict, weak = np.zeros((2, width), dtype=np.uint64)
    nobody, bits = rows[:0], rows.view(np.uint8)
    goals = {"sum": ">= 10" if dimension < 2**20 else ">= 15", "sum in uint8": ""}
    for what, dtype in (("sum", None), ("sum in uint8", np.uint8)):
        yield compare(
            f"numpy.unpackbits and a {what} / vote, M = {workers}, d = {dimension}",
            lambda dtype=dtype: np.unpackbits(bits, axis=1, bitorder="little").sum(axis=0, dtype=dtype),  # type: ignore[misc]
            lambda: ballots.vote(rows, nobody, strict, weak),
            effort,
            goals[what],
        )
