"""The speed of the kernels and of the loop, as ratios to plain numpy operations taken in the same run.

Each ratio is the median over rounds in which both sides are timed one after the other, after a warm-up, with its
quartiles; it can be compared between machines where seconds cannot.
"""

from collections.abc import Iterator

from mpisign.bench import data, iteration, kernels
from mpisign.bench.rivals import classifier, example5
from mpisign.bench.timing import Effort, Ratio, Unmeasured
from mpisign.methods import METHODS


def measure(effort: Effort) -> Iterator[Ratio | Unmeasured]:
    """Every ratio, one after the other."""
    yield from kernels.kernels(2**20, effort)
    for dimension in (2**11, 2**20):
        yield from kernels.vote(dimension, workers=15, effort=effort)
    for name in METHODS:
        yield iteration.iteration(name, dimension=2000, effort=effort)
    yield from iteration.logging(effort)
    yield from data.minibatch(effort)
    yield from data.passes(effort)
    yield from data.conversion(effort)
    yield classifier.classifier(effort)
    yield from example5.example5(effort)


def table(ratios: Iterator[Ratio | Unmeasured]) -> Iterator[str]:
    """One line a ratio, as they come."""
    yield f"{'ratio':94} {'median':>8}  {'quartiles':>17}  goal"
    for ratio in ratios:
        if isinstance(ratio, Unmeasured):
            yield f"{ratio.what:94} not measured: {ratio.why}"
            continue
        spread = f"{ratio.low:.3g} - {ratio.high:.3g}"
        yield f"{ratio.what:94} {ratio.median:8.3g}  {spread:>17}  {ratio.goal}"
