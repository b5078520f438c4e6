"""Time the rounds on the ranks at hand, or on several numbers of ranks in a launch each, and set their goals."""

import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from mpisign.aggregation.exchange_registry import EXCHANGES
from mpisign.comm.communicator import Communicator
from mpisign.comm.launcher import launch
from mpisign.tools.bench import kernels, results_file
from mpisign.tools.bench.rounds import BARE, COMPILED, MADE, MADE_SINGLE, SHARES, SINGLE, WHOLE, on_ranks
from mpisign.tools.bench.timing import FAILURES, Effort, Ratio, Time, Unmeasured, reason, succeeded, summary

_LAUNCH_SECONDS = 1800.0


def rounds(effort: Effort) -> Iterator[Ratio | Time | Unmeasured]:
    """Yield the times of `mpisign bench --only rounds` under mpiexec, then their ratios."""
    for ranks in effort.ranks:
        try:
            times = _launched(ranks, effort)
        except FAILURES as failure:
            yield Unmeasured(f"rounds on {ranks} ranks", reason(failure))
            continue
        yield from times
        yield from ratios(times)


def here(ranks: Communicator, effort: Effort, curves: bool) -> Iterator[Ratio | Time]:
    """Yield the times on these ranks, and their ratios; collective.

    Args:
        ranks: The ranks at hand.
        effort: How much is measured.
        curves: Whether those of `kernels.curves` come first, on the root, for which the other ranks wait.
    """
    if curves and ranks.root:
        yield from kernels.curves(effort)
    for dimension in effort.dimensions:
        times = on_ranks(ranks, dimension, effort)
        yield from times
        yield from ratios(times)


def _launched(ranks: int, effort: Effort) -> list[Time]:
    """Return the times of a launch on so many ranks."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "rounds.json"
        asked = ["--only", "rounds", "--dimensions", ",".join(map(str, effort.dimensions)), "-o", str(output)]
        quick = ["--quick"] if effort.quick else []
        command = [sys.executable, "-m", "mpi4py", "-m", "mpisign", "bench", *asked, *quick]
        succeeded(launch(ranks, command, timeout=_LAUNCH_SECONDS))
        return [time for time in results_file.read(output).times if time.ranks == ranks]


_SHOWN = (2000, 10**6, 2**20, 2**24)
"""Dimensions d whose ratios are in the table."""

_ROWS = {
    WHOLE: "the round",
    COMPILED: "the round in compiled code",
    SINGLE: "the round in float32",
    MADE: "the round, signs from the gradient",
    MADE_SINGLE: "the round in float32, signs from the gradient",
    BARE: "its messages alone",
}
"""What Allreduce of float32 is compared with."""

_GOALS = {
    (WHOLE, "server", 2000, 2): "> 1",
    (WHOLE, "node", 2000, 2): "> 1",
    (WHOLE, "server", 2000, 3): "> 1",
    (WHOLE, "node", 2000, 3): "> 1",
    (COMPILED, "server", 2000, 2): ">= 1.5",
    (COMPILED, "node", 2000, 2): ">= 3",
    (COMPILED, "server", 2000, 3): ">= 2",
    (COMPILED, "node", 2000, 3): ">= 2",
    (WHOLE, "server", 2**20, 3): ">= 20",
    (WHOLE, "node", 2**20, 3): ">= 5",
    (SINGLE, "node", 2**20, 3): ">= 7.5",
    (MADE_SINGLE, "node", 2**20, 3): ">= 16",
    (WHOLE, "node", 2**24, 3): ">= 7",
    (SINGLE, "node", 2**24, 3): ">= 13",
    (MADE_SINGLE, "node", 2**24, 3): ">= 40",
}
"""What Allreduce of float32 over that should reach, for some exchanges, d and ranks."""


def ratios(times: Iterable[Time]) -> Iterator[Ratio]:
    """Yield the ratios for each number of ranks, slice by slice."""
    by: dict[tuple[int, int], dict[tuple[str, str], list[float]]] = {}
    for time in times:
        by.setdefault((time.dimension, time.ranks), {})[time.what, time.exchange] = time.seconds
    for (dimension, ranks), found in by.items():
        if dimension in _SHOWN:
            yield from _over_rounds(found, dimension, ranks)
            yield from _over_messages(found, dimension, ranks)


_Found: TypeAlias = dict[tuple[str, str], list[float]]
"""Seconds of each slice, by what is timed and its exchange, at one d on one number of ranks."""


def _over_rounds(found: _Found, dimension: int, ranks: int) -> Iterator[Ratio]:
    """Yield what dense sums take over the rounds; a file of an earlier version has not all of them."""
    where, (single, double) = _where(dimension, ranks), (found["allreduce float32", ""], found["allreduce float64", ""])
    for name in EXCHANGES:
        for what, row in _ROWS.items():
            if (what, name) in found:
                goal = _GOALS.get((what, name, dimension, ranks), "")
                yield _over(f"Allreduce of float32 / {row}, {name}, {where}", single, found[what, name], goal)
        yield _over(f"Allreduce of float64 / the round, {name}, {where}", double, found[WHOLE, name])


def _over_messages(found: _Found, dimension: int, ranks: int) -> Iterator[Ratio]:
    """Yield what else is in a round, or could be, over the messages of the server."""
    where, messages = _where(dimension, ranks), found[BARE, "server"]
    for name in EXCHANGES:
        lean = "<= 1.6" if dimension == 2000 and name != "sharded" else ""
        yield _over(f"the round, {name} / Gather and Bcast alone, {where}", found[WHOLE, name], messages, lean)
    yield _over(f"signs a byte each / signs a bit each, Gather and Bcast, {where}", found["gather int8", ""], messages)
    computing = [sum(parts) for parts in zip(*(found[share, ""] for share in SHARES), strict=True)]
    balanced = "<= 1" if (dimension, ranks) == (2**20, 3) else ""
    yield _over(f"pack, vote and apply / Gather and Bcast alone, {where}", computing, messages, balanced)


def _where(dimension: int, ranks: int) -> str:
    return f"d = {dimension}, {ranks} ranks"


def _over(what: str, one: list[float], other: list[float], goal: str = "") -> Ratio:
    """Return the ratio of two times, slice by slice."""
    return summary(what, [a / b for a, b in zip(one, other, strict=True)], goal)
