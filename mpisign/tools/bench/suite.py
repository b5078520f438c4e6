"""Measure the speed of kernels, loop and rounds, as ratios to what else could be done, taken in the same run.

Each ratio is the median over slices in which both sides are timed one after the other, after a warm-up, with its
quartiles; it can be compared between machines where seconds cannot.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from mpisign.algorithms.methods import METHODS
from mpisign.comm.communicator import Communicator
from mpisign.config.validation import InputError, closest
from mpisign.tools.bench import data, iteration, kernels, launched, links
from mpisign.tools.bench.baselines import classifier, example5
from mpisign.tools.bench.timing import Effort, Ratio, Time, Traffic, Unmeasured

Result: TypeAlias = Ratio | Time | Unmeasured | Traffic


def _kernels(effort: Effort) -> Iterator[Result]:
    """Yield the results of the section "kernels"."""
    yield from kernels.kernels(effort)
    for dimension in (2**11, 2**20):
        yield from kernels.vote(dimension, workers=15, effort=effort)
    yield from kernels.vote_reads(effort)
    yield from kernels.curves(effort)


def _iterations(effort: Effort) -> Iterator[Result]:
    """Yield the results of the section "iteration"."""
    for name in METHODS:
        yield iteration.iteration(name, effort)
    yield from iteration.compiled(effort)
    yield from iteration.logging(effort)


def _data(effort: Effort) -> Iterator[Result]:
    """Yield the results of the section "data"."""
    yield from data.minibatch(effort)
    yield from data.passes(effort)
    yield from data.conversion(effort)


def _rivals(effort: Effort) -> Iterator[Result]:
    """Yield the results of the section "rivals"."""
    yield classifier.classifier(effort)
    yield from example5.example5(effort)


SECTIONS: dict[str, Callable[[Effort], Iterator[Result]]] = {
    "kernels": _kernels,
    "iteration": _iterations,
    "data": _data,
    "rounds": launched.rounds,
    "rivals": _rivals,
}
"""Sections that `mpisign bench --only` can name."""

LINKS = "links"
"""One more, of its own, under a launcher."""


def measure(effort: Effort, only: str | None, ranks: Communicator) -> Iterator[Result]:
    """Return the results, as they are measured, of the named sections or of all; on several ranks of the rounds.

    Args:
        effort: How much is measured.
        only: Names of sections with commas between them, or None for all.
        ranks: The ranks at hand.

    Raises:
        InputError: If a name is not a section's, or its section needs one process and there are several ranks.
    """
    names = list(SECTIONS) if only is None else only.split(",")
    if ranks.size == 1 and LINKS in names:
        raise InputError("--only", f"expected a launcher for {LINKS}: a rank or more on each of several hosts")
    for name in names:
        if name not in (*SECTIONS, LINKS):
            raise InputError("--only", f"no section {name!r}; {closest(name, list(SECTIONS))}")
    if ranks.size == 1:
        return (result for name in names for result in SECTIONS[name](effort))
    if only == LINKS:
        return links.links(ranks, effort)
    if only not in (None, "rounds"):
        raise InputError(
            "--only", f"expected rounds or {LINKS} under a launcher, got {only}: the rest runs in one process"
        )
    return launched.here(ranks, effort, curves=only is None)


HEAD = f"{'ratio':94} {'median':>8}  {'quartiles':>17}  goal"


def line(result: Result) -> str:
    """Return the result's line of the table; a time has none."""
    if isinstance(result, Unmeasured):
        return f"{result.what:94} not measured: {result.why}"
    if isinstance(result, Time):
        return ""
    if isinstance(result, Traffic):
        name = f"bytes a round on the link of rank 0, {result.exchange or result.what}, {result.ranks} ranks"
        name += f" on {len(result.sent)} hosts, d = {result.dimension}"
        return f"{name:94} {result.sent[0] + result.received[0]:8.0f}  {1e3 * min(result.seconds):14.4g} ms"
    spread = f"{result.low:.3g} - {result.high:.3g}"
    return f"{result.what:94} {result.median:8.3g}  {spread:>17}  {result.goal}"
