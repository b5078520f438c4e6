"""Draw bits to a given accuracy: each method with the best of the steps that its job has tried, against dense SGD.

A target is reached at the first record where the median gap over the repeats is not above it; bits are those sent by
then, up and down, for all workers. For each target the step with the fewest bits is taken, on the same repeats.
In the figure a number after a method is that step.
Intervals are at 95 %, by bootstrap over the repeats, the same ones for every run, with the choice of the step in it.
Seconds an iteration are taken as known: the least over steps and repeats, of which a bootstrap would say too little.
"""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from mpisign.audit.figures.figure import above, look, plain
from mpisign.audit.intervals import estimate
from mpisign.config.validation import InputError
from mpisign.storage.trajectory import RunRecord, Trajectory

TARGETS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3)
_SHOWN = 3
"""Number of targets that are shown: the lowest that every method reaches."""

_RESAMPLES = 400


class Medians(NamedTuple):
    """Medians over each resample of the repeats.

    Attributes:
        gap: Median gap, shape (resamples, records).
        bits: Median bits so far, shape (resamples, records).
    """

    gap: np.ndarray
    bits: np.ndarray


class Cost(NamedTuple):
    """What a method spends until its median gap is at the target.

    Arrays have shape (resamples,); the first entry is that of the repeats as they are, infinite where not reached.

    Attributes:
        run: The run with the best step on the repeats as they are.
        iterations: Iterations.
        bits: Bits, up and down, of all workers.
        seconds: Seconds.
    """

    run: RunRecord
    iterations: np.ndarray
    bits: np.ndarray
    seconds: np.ndarray

    @property
    def pace(self) -> float:
        """Return seconds an iteration."""
        return float(self.seconds[0] / self.iterations[0])


def methods(trajectory: Trajectory) -> dict[str, list[RunRecord]]:
    """Return the runs of each method, by its name in the labels.

    Raises:
        InputError: If SGD is missing, a step is not constant, or not all have the same number of repeats, at least 2.
    """
    sweeps: dict[str, list[RunRecord]] = {}
    for run in trajectory:
        sweeps.setdefault(run.label.partition(", alpha")[0], []).append(run)
    counts = {len(run.finished()) for run in trajectory}
    constant = all("step.alpha" in run.attributes for run in trajectory)
    if min(counts, default=0) < 2 or len(counts) > 1 or dense(sweeps) is None or not constant:
        raise InputError(
            str(trajectory.path),
            "expected gd, constant steps, and the same number of complete repeats, at least 2, of every run, as "
            "jobs/bits.toml has",
        )
    return sweeps


def dense(sweeps: dict[str, list[RunRecord]]) -> str | None:
    """Return the name of dense SGD, or None."""
    return next((name for name, runs in sweeps.items() if runs[0].attributes["method"] == "gd"), None)


def resamples(repeats: int) -> np.ndarray:
    """Draw repeats with replacement, after a first row with all of them as they are.

    Returns:
        Numbers of repeats, shape (1 + resamples, repeats).
    """
    # a fixed seed: every run and file is resampled alike, so that ratios compare the same repeats
    drawn = np.random.default_rng(1).integers(0, repeats, size=(_RESAMPLES, repeats))
    return np.concatenate([np.arange(repeats)[None], drawn])


def medians(run: RunRecord, drawn: np.ndarray) -> Medians:
    """Return the medians of a run over each resample, whose rows are numbers of repeats."""
    gaps, bits = np.array([run.gap(repeat) for repeat in run.finished()]), sent(run)
    same = (bits == bits[0]).all()  # unless a second plane travels, which depends on the repeat
    resampled = np.broadcast_to(bits[0], (len(drawn), bits.shape[1])) if same else np.median(bits[drawn], axis=1)
    return Medians(np.median(gaps[drawn], axis=1), resampled)


def sent(run: RunRecord) -> np.ndarray:
    """Return the bits so far, up and down, shape (repeats, records)."""
    return np.array([repeat.columns["bits_up"] + repeat.columns["bits_down"] for repeat in run.finished()])


def cost(runs: list[RunRecord], middles: list[Medians], pace: float, target: float) -> Cost:
    """Return what a method spends with the best step of each resample.

    Args:
        runs: The method's runs, one a step.
        middles: The medians of each run.
        pace: Seconds an iteration.
        target: The gap to reach.
    """
    spent = np.array([spent_by(run, middle, target) for run, middle in zip(runs, middles, strict=True)])
    best = spent[:, 1].argmin(axis=0)
    iterations, bits = spent[best, :, np.arange(len(best))].T
    return Cost(runs[best[0]], iterations, bits, iterations * pace)


def spent_by(run: RunRecord, middle: Medians, target: float) -> np.ndarray:
    """Return iterations and bits until the target, shape (2, resamples)."""
    below = middle.gap <= target
    # argmax finds the first record below; where there is none the entry is replaced below
    at = below.argmax(axis=1)
    spent = [run.finished()[0].columns["k"][at], middle.bits[np.arange(len(at)), at]]
    return np.where(below.any(axis=1), spent, np.inf)


def least_pace(runs: list[RunRecord]) -> float:
    """Return seconds an iteration of a method: the least over steps and repeats, where least disturbed."""
    ends = [repeat.columns for run in runs for repeat in run.finished()]
    return float(min(columns["seconds"][-1] / columns["k"][-1] for columns in ends))


def costs(trajectory: Trajectory) -> dict[float, dict[str, Cost]]:
    """Return the costs by target, then by method, for the lowest targets that every method reaches.

    Raises:
        InputError: If there is no such target.
    """
    table: dict[float, dict[str, Cost]] = {target: {} for target in TARGETS}
    for name, runs in methods(trajectory).items():
        drawn = resamples(len(runs[0].finished()))
        middles, pace = [medians(run, drawn) for run in runs], least_pace(runs)
        for target, row in table.items():
            row[name] = cost(runs, middles, pace, target)
    reached = {target: row for target, row in table.items() if all(np.isfinite(each.bits[0]) for each in row.values())}
    if not reached:
        raise InputError(str(trajectory.path), f"expected every method to reach a gap of {TARGETS[0]:g}")
    return dict(list(reached.items())[-_SHOWN:])


def where(trajectory: Trajectory) -> str:
    """Describe the problem in a few words."""
    a = next(iter(trajectory)).attributes
    return (
        f"{str(a.get('problem.data', a['problem.kind'])).rpartition('/')[2]}, d = {a['dimension']}, M = {a['workers']}"
    )


def findings(trajectory: Trajectory) -> list[str]:
    """Return a line for each target and method."""
    reference, lines = dense(methods(trajectory)), []
    for target, row in costs(trajectory).items():
        for name, each in row.items():
            line = (
                f"{where(trajectory)}, gap {target:g}, {name}: {estimate(each.bits)} bits, "
                f"{estimate(each.iterations)} iterations, alpha = {each.run.attributes['step.alpha']:g}"
            )
            if reference is not None and name != reference:
                line += f"; bits of {reference} over them {estimate(row[reference].bits / each.bits)}"
            lines.append(line)
    return lines


def draw(*trajectories: Trajectory) -> Figure:
    """Draw for each file the gap against bits, and the bits to each target."""
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
    """Draw the median gap of the best step for the lowest target."""
    for number, (name, each) in enumerate(list(table.values())[-1].items()):
        middle = np.median([each.run.gap(repeat) for repeat in each.run.finished()], axis=0)
        label = f"{plain(name)}, {each.run.attributes['step.alpha']:g}"
        axes.plot(np.median(sent(each.run), axis=0)[1:], middle[1:], label=label, **look(number))
    for target in table:
        axes.axhline(target, color="0.5", lw=0.8, ls=(0, (1, 2)), zorder=0.5)
    axes.set(xscale="log", yscale="log", xlabel="bits, up and down, all workers", ylabel="median gap $f(x_k) - f^*$")
    axes.yaxis.set_minor_formatter(NullFormatter())
    above(axes, ncols=2)


def draw_targets(table: dict[float, dict[str, Cost]], axes: Axes) -> None:
    """Draw a row for each method, with a mark for each target."""
    names = list(next(iter(table.values())))
    for number, (target, row) in enumerate(table.items()):
        value, low, high = np.array([estimate(row[name].bits) for name in names]).T
        place = np.arange(len(names)) + 0.2 * (number - (len(table) - 1) / 2)
        reach = [value - low, np.where(np.isfinite(high), high, value) - value]
        axes.errorbar(value, place, xerr=reach, fmt="os^"[number % 3], ms=4.5, elinewidth=1, color=f"C{number}",
                      label=f"gap {target:g}")  # fmt: skip
    axes.set(xscale="log", xlabel="bits to the target, with 95 % interval", ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), map(plain, names))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(table), borderaxespad=0.2)
