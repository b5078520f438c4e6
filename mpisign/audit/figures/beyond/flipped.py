"""Draw flipped workers, B of M that send -g~: what is left of the vote's advantage, and of convergence on real data.

At a frozen x (jobs/flipped.toml) it is the advantage against B, measured with 95 % intervals, with its exact value and
with A_M at the workers' mean probability of a right sign. On data (jobs/flipped-logistic.toml) it is the final gap of
each repeat, and their geometric mean with its 95 % interval.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpisign.audit.figures.figure import above
from mpisign.audit.frozen_point import Frozen, frozen
from mpisign.audit.intervals import Interval, geometric_mean, mean
from mpisign.audit.run_comparison import final_gaps, ratio
from mpisign.config.validation import InputError
from mpisign.storage.trajectory import RunRecord, Trajectory
from mpisign.theory.vote_moments import flipped_advantage, mean_probability, vote_advantage

METHODS = {"scaled-sign": "scaled signSGD", "gd": "SGD"}


def flipped(run: RunRecord) -> int:
    """Return B, the number of flipped workers."""
    return int(run.attributes.get("oracle.flipped", 0))


def exact(each: Frozen) -> float:
    """Return the vote's advantage with B flipped workers; all coordinates have one p."""
    return flipped_advantage(float(each.known.p[0]), int(each.run.attributes["workers"]), flipped(each.run))


def averaged(each: Frozen) -> float:
    """Return A_M at the workers' mean probability."""
    workers = int(each.run.attributes["workers"])
    return float(vote_advantage(mean_probability(float(each.known.p[0]), workers, flipped(each.run)), workers))


def by_probability(trajectory: Trajectory) -> dict[float, list[Frozen]]:
    """Return the runs at a frozen x for each p, by B."""
    curves: dict[float, list[Frozen]] = {}
    for each in sorted(frozen(trajectory), key=lambda each: flipped(each.run)):
        curves.setdefault(round(float(each.known.p[0]), 12), []).append(each)
    return curves


def by_method(trajectory: Trajectory) -> dict[str, list[RunRecord]]:
    """Return the runs on data for each method, by B.

    Raises:
        InputError: If a method has only one B, a repeat is not complete, or one did not end above f*.
    """
    curves: dict[str, list[RunRecord]] = {}
    for run in sorted(trajectory, key=flipped):
        if run.attributes["method"] in METHODS:
            curves.setdefault(run.attributes["method"], []).append(run)
    runs = [run for some in curves.values() for run in some]
    complete = all(len(run.finished()) == len(run.repeats) >= 2 for run in runs)
    if not complete or min(map(len, curves.values()), default=0) < 2:
        raise InputError(
            str(trajectory.path),
            "expected at least two repeats, all complete, for each of several B, as jobs/flipped-logistic.toml has",
        )
    if not all((final_gaps(run) > 0).all() for run in runs):
        raise InputError(str(trajectory.path), "expected final gaps above 0; one is within the error of f*")
    return {method: curves[method] for method in METHODS if method in curves}


def is_frozen(trajectory: Trajectory) -> bool:
    """Return whether a file is of a frozen x, not of data."""
    return any(run.attributes.get("problem.eigenvalues") is not None for run in trajectory)


def findings(trajectory: Trajectory) -> list[str]:
    """Return a line for each B."""
    return advantages(trajectory) if is_frozen(trajectory) else gaps(trajectory)


def advantages(trajectory: Trajectory) -> list[str]:
    """Return the advantage for each p and B, beside its exact value and A_M; and how often its interval has these."""
    lines, held = [], []
    for p, points in by_probability(trajectory).items():
        for each in points:
            measured = mean(each.advantage)
            held.append((measured.contains(exact(each)), measured.contains(averaged(each))))
            lines.append(
                f"p = {p:g}, B = {flipped(each.run)} of {each.run.attributes['workers']}: advantage {measured:.4f}, "
                f"exact {exact(each):.4f}, A_M at the mean probability {averaged(each):.4f}"
            )
    right, close = np.sum(held, axis=0)
    return [*lines, f"in the 95 % interval: exact {right} of {len(held)}, mean probability {close} of {len(held)}"]


def gaps(trajectory: Trajectory) -> list[str]:
    """Return the final gap for each method and B, and its ratio to that without flipped workers."""
    lines = []
    for method, runs in by_method(trajectory).items():
        for run in runs:
            lines.append(f"{METHODS[method]}, B = {flipped(run)}: final gap {final(run)}")
            if run is not runs[0]:
                lines[-1] += f"; over that of B = {flipped(runs[0])}: {ratio(run, runs[0])}"
    return lines


def final(run: RunRecord) -> Interval:
    """Return the final gap's geometric mean over the repeats."""
    return geometric_mean(final_gaps(run))


def draw(*trajectories: Trajectory) -> Figure:
    """Draw a panel for each file."""
    figure, axes = plt.subplots(1, len(trajectories), figsize=(max(4.8 * len(trajectories), 5.2), 3.8), squeeze=False)
    for axes_, trajectory in zip(axes[0], trajectories, strict=True):
        (draw_advantages if is_frozen(trajectory) else draw_gaps)(trajectory, axes_)
    return figure


def draw_advantages(trajectory: Trajectory, axes: Axes) -> None:
    """Draw the advantage against B."""
    curves = by_probability(trajectory)
    for number, (p, points) in enumerate(curves.items()):
        at, color = [flipped(each.run) for each in points], f"C{number}"
        value, low, high = np.array([mean(each.advantage) for each in points]).T
        axes.plot(at, [exact(each) for each in points], "-", color=color, lw=1)
        axes.plot(at, [averaged(each) for each in points], ":", color=color, lw=1.2)
        axes.errorbar(at, value, yerr=[value - low, high - value], fmt="os^D"[number % 4], color=color, ms=4,
                      elinewidth=1, label=f"measured, p = {p:g}")  # fmt: skip
    axes.plot([], [], "-", color="0.3", lw=1, label="exact")
    axes.plot([], [], ":", color="0.3", lw=1.2, label="$A_M$ at the mean probability")
    workers = next(iter(curves.values()))[0].run.attributes["workers"]
    axes.set(xlabel=f"flipped workers B of {workers}", ylabel="advantage of the vote")
    axes.axhline(0, color="0.3", lw=0.8, zorder=0.5)
    above(axes, ncols=2)


def draw_gaps(trajectory: Trajectory, axes: Axes) -> None:
    """Draw the final gap against B."""
    for number, (method, runs) in enumerate(by_method(trajectory).items()):
        color, marker = f"C{number}", "os"[number]
        for run in runs:
            own = final_gaps(run)
            axes.plot(np.full(len(own), flipped(run) + 0.12 * number), own, ".", color=color, ms=3, alpha=0.5)
        at = np.array([flipped(run) + 0.12 * number for run in runs])
        value, low, high = np.array([final(run) for run in runs]).T
        axes.errorbar(at, value, yerr=[value - low, high - value], fmt=marker, ms=4.5, ls=["-", "--"][number],
                      color=color, elinewidth=1, label=METHODS[method])  # fmt: skip
    workers = next(iter(trajectory)).attributes["workers"]
    axes.set(xlabel=f"flipped workers B of {workers}", ylabel="final gap $f - f^*$", yscale="log")
    above(axes, ncols=2)
