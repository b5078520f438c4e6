"""How many workers buy how much: the majority vote at a frozen x, where every k is one more draw.

Marks: measured, with 95 % intervals. Lines: theory. Left: one worker to fifteen. Middle: the rules for tied votes.
Right: points of CE-B, where the coordinates of the noise depend on each other (dashes: if norms and signs did not).

    python analysis/workers.py results/workers.h5 results/ties.h5 results/ce-b-drift.h5 -o figures
"""

from itertools import groupby
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from figure import above, command_of_files
from frozen import Frozen, Mean, frozen, law, mean, theory
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpisign.settings import BadInput
from mpisign.theory.bounds import vote_advantage
from mpisign.trajectory import Trajectory

_P_SIGNS = {1: "$g_i > 0$", -1: "$g_i < 0$"}


def workers_of(each: Frozen) -> int:
    return int(each.run.attributes["workers"])


def kind(points: list[Frozen]) -> str:
    """What a file is about: covariance, ties or workers."""
    if points[0].run.attributes["problem.kind"] == "finite-quadratic":
        return "covariance"
    return "ties" if len({each.run.attributes["zeros"] for each in points}) > 1 else "workers"


def expected_advantage(each: Frozen) -> float:
    """E[sign(g_i) vote_i], the mean over i."""
    if each.run.attributes["zeros"] != "plus":
        return float(np.mean(vote_advantage(each.known.p, workers_of(each))))
    above_zero, below = (vote_advantage(each.known.p, workers_of(each), f"plus-{sign}") for sign in _SIGNS)
    return float(np.mean(np.where(each.gradient > 0, above_zero, below)))


_SIGNS = ("positive", "negative")


def findings(trajectory: Trajectory) -> list[str]:
    """A line for each measurement, and how many of them have theory in their interval."""
    points = read(trajectory)
    about_drift = kind(points) == "covariance"
    lines, held = [], []
    for each in points:
        advantage, drift = mean(each.advantage), mean(each.drift)
        held.append(drift.holds(each.theory.exact) if about_drift else advantage.holds(expected_advantage(each)))
        lines.append(f"{name(each)}: " + (drift_line(drift, each) if about_drift else line(advantage, drift, each)))
    what = "drift" if about_drift else "advantage"
    return [*lines, f"{what}: theory is in the 95 % interval of {sum(held)} of {len(held)} measurements"]


def read(trajectory: Trajectory) -> list[Frozen]:
    points = list(frozen(trajectory))
    if not points:
        raise BadInput(str(trajectory.path), "expected a complete repeat; there is none")
    return points


def name(each: Frozen) -> str:
    if kind([each]) == "covariance":
        return f"{each.run.label}, x = ({each.gradient[0]:g}, {each.gradient[1]:g})"
    signs = set(np.sign(each.gradient))
    return each.run.label if len(signs) > 1 else f"{each.run.label}, g_i {'>' if signs == {1.0} else '<'} 0"


def line(advantage: Mean, drift: Mean, each: Frozen) -> str:
    text = f"advantage {advantage}, theory {expected_advantage(each):.4f}"
    return text if each.run.attributes["zeros"] == "plus" else f"{text}; {drift_line(drift, each)}"


def drift_line(drift: Mean, each: Frozen) -> str:
    return (
        f"drift over ||g||_1 E N {drift}, C4 {each.theory.exact:.4f}, "
        f"were norms and signs independent {each.theory.independent:.4f}"
    )


def draw(*trajectories: Trajectory) -> Figure:
    """A panel for each file."""
    figure, axes = plt.subplots(
        1, len(trajectories), figsize=(max(3.7 * len(trajectories), 4.8), 4.0), squeeze=False
    )
    panels = {"workers": draw_workers, "ties": draw_ties, "covariance": draw_covariance}
    for axes_, trajectory in zip(axes[0], trajectories, strict=True):
        points = read(trajectory)
        panels[kind(points)](points, axes_)
        axes_.axhline(0, color="0.3", lw=0.8, zorder=0.5)
    return figure


def mark(axes: Axes, at: list[float], means: list[Mean], **look: Any) -> None:
    """Measurements with their intervals."""
    value, low, high = np.array(means).T
    style = {"ls": "none", "markersize": 4, "elinewidth": 1} | look
    axes.errorbar(at, value, yerr=[value - low, high - value], **style)


def draw_workers(points: list[Frozen], axes: Axes) -> None:
    """Advantage and drift against M."""
    points = sorted(points, key=workers_of)
    at = [workers_of(each) for each in points]
    axes.plot(at, [expected_advantage(each) for each in points], "-", color="C0", lw=1, label="$2 I_p - 1$")
    mark(axes, at, [mean(each.advantage) for each in points], color="C0", marker="o", label="advantage")
    axes.plot(at, [each.theory.exact for each in points], "--", color="C1", lw=1, label="C4")
    mark(axes, at, [mean(each.drift) for each in points], color="C1", marker="s", label="drift$\\,/\\,(||g||_1 E N)$")
    p, d = points[0].known.p[0], len(points[0].gradient)
    axes.set(xlabel=f"workers M (p = {p:.1f}, d = {d})", ylabel="advantage, drift", xticks=at[::2], ylim=(0, None))
    above(axes, ncols=2)


def draw_ties(points: list[Frozen], axes: Axes) -> None:
    """The advantage of each rule against even M, apart for g_i > 0 and g_i < 0."""
    marks, colors = {1: "^", -1: "v"}, {"exact": "C0", "coin": "C2", "plus": "C1"}
    shift = {"exact": -0.15, "coin": 0.15, "plus": 0.0}

    def curve(each: Frozen) -> tuple[str, int]:
        return str(each.run.attributes["zeros"]), int(np.sign(each.gradient[0]))

    for (rule, sign), group in groupby(sorted(points, key=lambda each: (*curve(each), workers_of(each))), curve):
        some = list(group)
        at = np.array([workers_of(each) for each in some])
        if rule != "coin":
            axes.plot(at, [expected_advantage(each) for each in some], color=colors[rule], lw=1, ls="-")
        label = {"exact": "tie 0", "coin": "coin", "plus": "tie +1"}[rule] + f", {_P_SIGNS[sign]}"
        means = [mean(each.advantage) for each in some]
        mark(axes, list(at + shift[rule]), means, color=colors[rule], marker=marks[sign], label=label)
    axes.set(xlabel=f"workers M (p = {points[0].known.p[0]:.1f})", ylabel="advantage", xticks=sorted(set(at)))
    above(axes, ncols=3)


def draw_covariance(points: list[Frozen], axes: Axes) -> None:
    """The drift along the diagonal of CE-B."""
    ts = np.linspace(*np.array(sorted(each.gradient[0] for each in points))[[0, -1]], 100)
    for number, (label, group) in enumerate(groupby(points, lambda each: each.run.label)):
        some, color, marker = list(group), f"C{number}", "osD^v"[number % 5]
        run, direction = some[0].run, np.sign(some[0].gradient)
        lines = np.array([theory(run, t * direction, law(run, t * direction)) for t in ts])
        axes.plot(ts, lines[:, 0], "-", color=color, lw=1)
        axes.plot(ts, lines[:, 1], "--", color=color, lw=0.8)
        mark(axes, [each.gradient[0] for each in some], [mean(each.drift) for each in some], color=color,
             marker=marker, label=label)  # fmt: skip
    axes.set(xlabel="t; x = (t, t) in CE-B", ylabel="drift$\\,/\\,(||g||_1 E N)$")
    above(axes, ncols=2)


if __name__ == "__main__":
    raise SystemExit(command_of_files(findings, draw, "workers", __doc__))
