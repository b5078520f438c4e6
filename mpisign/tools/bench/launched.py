"""Time the rounds on the ranks at hand, or on several numbers of ranks in a launch each, and set their goals."""

import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from mpisign.aggregation.exchange_registry import EXCHANGES
from mpisign.comm.communicator import Communicator
from mpisign.comm.launcher import launch
from mpisign.tools.bench import kernels, results_file
from mpisign.tools.bench.rounds import BARE, COMPILED, SHARES, SINGLE, WHOLE, on_ranks
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


_SHOWN = (2000, 10**6, 2**20)
"""Dimensions d whose ratios are in the table."""

_GOALS = {
    (2000, 2): ("> 1", "<= 1.6", ""),
    (2000, 3): ("> 1", "<= 1.6", ""),
    (2**20, 3): (">= 20", "", "<= 1"),
}
"""For some d and ranks: what the round by the server or by the node should reach, and packing, voting, applying."""

_COMPILED_GOALS = {
    (2000, 2, "server"): ">= 1.5",
    (2000, 2, "node"): ">= 3",
    (2000, 3, "server"): ">= 2",
    (2000, 3, "node"): ">= 2",
}
"""The same for the round in compiled code."""


def ratios(times: Iterable[Time]) -> Iterator[Ratio]:
    """Yield the ratios for each number of ranks, slice by slice."""
    by: dict[tuple[int, int], dict[tuple[str, str], list[float]]] = {}
    for time in times:
        by.setdefault((time.dimension, time.ranks), {})[time.what, time.exchange] = time.seconds
    for (dimension, ranks), found in by.items():
        if dimension in _SHOWN:
            goals = _GOALS.get((dimension, ranks), ("", "", ""))
            where = f"d = {dimension}, {ranks} ranks"
            yield from _ratios(found, where, *goals)
            for (what, name), seconds in found.items():
                if what == COMPILED:
                    goal = _COMPILED_GOALS.get((dimension, ranks, name), "")
                    row = f"Allreduce of float32 / the round in compiled code, {name}, {where}"
                    yield _over(row, found["allreduce float32", ""], seconds, goal)


def _ratios(
    found: dict[tuple[str, str], list[float]], where: str, fast: str, lean: str, balanced: str
) -> Iterator[Ratio]:
    """Yield the ratios at one d on one number of ranks, with their goals."""
    dense, messages = found["allreduce float32", ""], found[BARE, "server"]
    for name in EXCHANGES:
        fast_, lean_ = ("", "") if name == "sharded" else (fast, lean)
        whole, bare = found[WHOLE, name], found[BARE, name]
        yield _over(f"Allreduce of float32 / the round, {name}, {where}", dense, whole, fast_)
        if (SINGLE, name) in found:  # a file of an earlier version has none
            yield _over(f"Allreduce of float32 / the round in float32, {name}, {where}", dense, found[SINGLE, name])
        yield _over(f"Allreduce of float32 / its messages alone, {name}, {where}", dense, bare)
        yield _over(f"Allreduce of float64 / the round, {name}, {where}", found["allreduce float64", ""], whole)
        yield _over(f"the round, {name} / Gather and Bcast alone, {where}", whole, messages, lean_)
    yield _over(f"signs a byte each / signs a bit each, Gather and Bcast, {where}", found["gather int8", ""], messages)
    computing = [sum(parts) for parts in zip(*(found[share, ""] for share in SHARES), strict=True)]
    yield _over(f"pack, vote and apply / Gather and Bcast alone, {where}", computing, messages, balanced)


def _over(what: str, one: list[float], other: list[float], goal: str = "") -> Ratio:
    """Return the ratio of two times, slice by slice."""
    return summary(what, [a / b for a, b in zip(one, other, strict=True)], goal)
