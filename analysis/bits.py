"""Bits to a given accuracy: each method with the best of the steps that its job has tried, against dense SGD.

A target is reached at the first record where the median gap over the repeats is not above it; bits are those sent by
then, up and down, for all workers. For each target the step with the fewest bits is taken, on the same repeats.
In the figure a number after a method is that step.
Intervals: 95 %, bootstrap over the repeats, the same ones for every run, with the choice of the step in it.

    python analysis/bits.py results/bits.h5 results/bits-wide.h5 -o figures
"""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from figure import above, command_of_files
from interval import estimate
from mpisign.settings import BadInput
from mpisign.trajectory import RunRecord, Trajectory

TARGETS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3)
_SHOWN = 3
"""How many targets are shown: the lowest that every method reaches."""

_RESAMPLES = 400


class Cost(NamedTuple):
    """What a method spends until its median gap is at the target; arrays of shape (resamples,), the first the repeats
    as they are. run: with the best step there. Infinite: not reached.
    """

    run: RunRecord
    iterations: np.ndarray
    bits: np.ndarray
    seconds: np.ndarray


def methods(trajectory: Trajectory) -> dict[str, list[RunRecord]]:
    """The runs of each method, by its name in the labels; raises BadInput without SGD or several repeats."""
    sweeps: dict[str, list[RunRecord]] = {}
    for run in trajectory:
        sweeps.setdefault(run.label.partition(", alpha")[0], []).append(run)
    counts = {len(run.finished()) for run in trajectory}
    if min(counts, default=0) < 2 or len(counts) > 1 or dense(sweeps) is None:
        raise BadInput(str(trajectory.path), "expected gd and as many complete repeats of every run, as bits.toml has")
    return sweeps


def dense(sweeps: dict[str, list[RunRecord]]) -> str | None:
    """The name of dense SGD."""
    return next((name for name, runs in sweeps.items() if runs[0].attributes["method"] == "gd"), None)


def resamples(repeats: int) -> np.ndarray:
    """Which repeats are drawn, with replacement; first all of them as they are. Shape (1 + resamples, repeats)."""
    drawn = np.random.default_rng(1).integers(0, repeats, size=(_RESAMPLES, repeats))
    return np.concatenate([np.arange(repeats)[None], drawn])


def medians(run: RunRecord, drawn: np.ndarray) -> np.ndarray:
    """The median gap over each resample, shape (resamples, records)."""
    gaps = np.array([run.gap(repeat) for repeat in run.finished()])
    middle: np.ndarray = np.median(gaps[drawn], axis=1)
    return middle


def cost(runs: list[RunRecord], middles: list[np.ndarray], paces: np.ndarray, target: float) -> Cost:
    """With the best step of each resample; middles: the medians of each run. paces: seconds an iteration."""
    spent = np.array([spent_by(run, middle, target) for run, middle in zip(runs, middles, strict=True)])
    best = spent[:, 1].argmin(axis=0)
    iterations, bits = spent[best, :, np.arange(len(best))].T
    return Cost(runs[best[0]], iterations, bits, iterations * paces)


def spent_by(run: RunRecord, middle: np.ndarray, target: float) -> np.ndarray:
    """Iterations and bits until the target, shape (2, resamples)."""
    columns = run.finished()[0].columns
    below = middle <= target
    at = below.argmax(axis=1)
    return np.where(below.any(axis=1), [columns["k"][at], (columns["bits_up"] + columns["bits_down"])[at]], np.inf)


def pace(runs: list[RunRecord], drawn: np.ndarray) -> np.ndarray:
    """Seconds an iteration of a method, shape (resamples,): the least over steps and repeats, where least disturbed."""
    ends = [[(repeat.columns["seconds"][-1], repeat.columns["k"][-1]) for repeat in run.finished()] for run in runs]
    seconds, iterations = np.moveaxis(np.array(ends), -1, 0)
    return (seconds / iterations).min(axis=0)[drawn].min(axis=1)


def costs(trajectory: Trajectory) -> dict[float, dict[str, Cost]]:
    """Target, then method; the lowest targets that every method reaches. Raises BadInput when there is none."""
    table: dict[float, dict[str, Cost]] = {target: {} for target in TARGETS}
    for name, runs in methods(trajectory).items():
        drawn = resamples(len(runs[0].finished()))
        middles, paces = [medians(run, drawn) for run in runs], pace(runs, drawn)
        for target, row in table.items():
            row[name] = cost(runs, middles, paces, target)
    reached = {target: row for target, row in table.items() if all(np.isfinite(each.bits[0]) for each in row.values())}
    if not reached:
        raise BadInput(str(trajectory.path), f"expected every method to reach a gap of {TARGETS[0]:g}")
    return dict(list(reached.items())[-_SHOWN:])


def where(trajectory: Trajectory) -> str:
    """The problem, in a few words."""
    a = next(iter(trajectory)).attributes
    return (
        f"{str(a.get('problem.data', a['problem.kind'])).rpartition('/')[2]}, d = {a['dimension']}, M = {a['workers']}"
    )


def findings(trajectory: Trajectory) -> list[str]:
    """A line for each target and method."""
    reference, lines = dense(methods(trajectory)), []
    for target, row in costs(trajectory).items():
        for name, each in row.items():
            line = (
                f"{where(trajectory)}, gap {target:g}, {name}: {estimate(each.bits)} bits, "
                f"{estimate(each.iterations)} iterations, alpha = {each.run.attributes['step.alpha']:g}"
            )
            if name != reference:
                line += f"; bits of {reference} over them {estimate(row[reference].bits / each.bits)}"
            lines.append(line)
    return lines


def draw(*trajectories: Trajectory) -> Figure:
    """For each file: gap against bits, and bits to each target."""
    figure = plt.figure(figsize=(9.6, 4.5 * len(trajectories)))
    rows = figure.subfigures(len(trajectories), 1, squeeze=False)[:, 0]
    for row, trajectory in zip(rows, trajectories, strict=True):
        left, right = row.subplots(1, 2)
        table = costs(trajectory)
        draw_gaps(table, left)
        draw_targets(table, right)
        steps = max(len(runs) for runs in methods(trajectory).values())
        row.suptitle(f"{where(trajectory)}; the best of {steps} steps a method", fontsize=10)
    return figure


def draw_gaps(table: dict[float, dict[str, Cost]], axes: Axes) -> None:
    """The median gap of the best step for the lowest target."""
    for number, (name, each) in enumerate(list(table.values())[-1].items()):
        repeats = each.run.finished()
        columns = repeats[0].columns
        middle = np.median([each.run.gap(repeat) for repeat in repeats], axis=0)
        label = f"{name}, {each.run.attributes['step.alpha']:g}"
        axes.plot((columns["bits_up"] + columns["bits_down"])[1:], middle[1:], label=label, **look(number))
    for target in table:
        axes.axhline(target, color="0.5", lw=0.8, ls=(0, (1, 2)), zorder=0.5)
    axes.set(xscale="log", yscale="log", xlabel="bits, up and down, all workers", ylabel="median gap $f(x_k) - f^*$")
    axes.yaxis.set_minor_formatter(NullFormatter())
    above(axes, ncols=2)


def look(number: int) -> dict[str, object]:
    """The style of the method of this number; there are more of them than colours."""
    return {"color": f"C{number}" if number < 7 else "0.55", "lw": 1.3}


def draw_targets(table: dict[float, dict[str, Cost]], axes: Axes) -> None:
    """A row for each method, a mark for each target."""
    names = list(next(iter(table.values())))
    for number, (target, row) in enumerate(table.items()):
        value, low, high = np.array([estimate(row[name].bits) for name in names]).T
        place = np.arange(len(names)) + 0.2 * (number - (len(table) - 1) / 2)
        reach = [value - low, np.where(np.isfinite(high), high, value) - value]
        axes.errorbar(value, place, xerr=reach, fmt="os^"[number % 3], ms=4.5, elinewidth=1, color=f"C{number}",
                      label=f"gap {target:g}")  # fmt: skip
    axes.set(xscale="log", xlabel="bits to the target, with 95 % interval", ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), names)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(table), borderaxespad=0.2)


if __name__ == "__main__":
    raise SystemExit(command_of_files(findings, draw, "bits", __doc__))
