"""Draw how many workers buy how much: the majority vote at a frozen x, where every k is one more draw.

Marks are measured, with 95 % intervals; lines are theory. Left: one worker to fifteen. Middle: the rules for tied
votes. Right: points of CE-B, where the coordinates of the noise depend on each other (dashes: if norms and signs did
not).
"""

from collections.abc import Callable
from itertools import groupby
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpisign.audit.figures.figure import above, plain
from mpisign.audit.frozen_point import Frozen, frozen, law, theory
from mpisign.audit.intervals import Interval, mean
from mpisign.config.validation import InputError
from mpisign.storage.trajectory import RunRecord, Trajectory
from mpisign.theory.vote_moments import VoteDrift, vote_advantage


def workers_of(each: Frozen) -> int:
    """Return M, the number of workers."""
    return int(each.run.attributes["workers"])


def measured(trajectory: Trajectory) -> list[Frozen]:
    """Return the points of a file.

    Raises:
        InputError: If workers are flipped, which the theory here does not cover.
    """
    points = frozen(trajectory)
    if any(each.run.attributes.get("oracle.flipped") for each in points):
        raise InputError(str(trajectory.path), "expected no flipped workers; analysis/flipped.py is for them")
    return points


def kind(points: list[Frozen]) -> str:
    """Return what a file is about: covariance, ties or workers."""
    if points[0].run.attributes["problem.kind"] == "finite-quadratic":
        return "covariance"
    return "ties" if len({each.run.attributes["zeros"] for each in points}) > 1 else "workers"


def expected_advantage(each: Frozen) -> float:
    """Return E[sign(g_i) vote_i], the mean over i."""
    if each.run.attributes["zeros"] != "plus":
        return float(np.mean(vote_advantage(each.known.p, workers_of(each))))
    positive = vote_advantage(each.known.p, workers_of(each), "plus-positive")
    negative = vote_advantage(each.known.p, workers_of(each), "plus-negative")
    return float(np.mean(np.where(each.gradient > 0, positive, negative)))


def findings(trajectory: Trajectory) -> list[str]:
    """Return a line for each measurement, and how many of them have theory in their interval."""
    points = measured(trajectory)
    about_drift = kind(points) == "covariance"
    lines, held = [], []
    for each in points:
        advantage, drift = mean(each.advantage), mean(each.drift)
        held.append(drift.contains(each.theory.exact) if about_drift else advantage.contains(expected_advantage(each)))
        lines.append(f"{name(each)}: " + (drift_line(drift, each) if about_drift else line(advantage, drift, each)))
    what = "drift" if about_drift else "advantage"
    return [*lines, f"{what}: theory is in the 95 % interval of {sum(held)} of {len(held)} measurements"]


def name(each: Frozen) -> str:
    """Return the name of a measurement: its run, with x where points differ, or the sign of g."""
    if kind([each]) == "covariance":
        return f"{each.run.label}, x = ({each.gradient[0]:g}, {each.gradient[1]:g})"
    signs = set(np.sign(each.gradient))
    return each.run.label if len(signs) > 1 else f"{each.run.label}, g_i {'>' if signs == {1.0} else '<'} 0"


def line(advantage: Interval, drift: Interval, each: Frozen) -> str:
    """Describe the advantage beside theory, and the drift, which is not known in closed form with ties at +1."""
    text = f"advantage {advantage:.4f}, theory {expected_advantage(each):.4f}"
    return text if each.run.attributes["zeros"] == "plus" else f"{text}; {drift_line(drift, each)}"


def drift_line(drift: Interval, each: Frozen) -> str:
    """Describe the drift E[M_k g'v] over ||g||_1 E N, beside (C4) and what the proof of Theorem 3 takes it to be."""
    return (
        f"drift over ||g||_1 E N {drift:.4f}, C4 {each.theory.exact:.4f}, "
        f"were norms and signs independent {each.theory.independent:.4f}"
    )


def draw(*trajectories: Trajectory) -> Figure:
    """Draw a panel for each file."""
    figure, axes = plt.subplots(1, len(trajectories), figsize=(max(3.7 * len(trajectories), 4.8), 4.0), squeeze=False)
    panels = {"workers": draw_workers, "ties": draw_ties, "covariance": draw_covariance}
    for axes_, trajectory in zip(axes[0], trajectories, strict=True):
        points = measured(trajectory)
        panels[kind(points)](points, axes_)
        axes_.axhline(0, color="0.3", lw=0.8, zorder=0.5)
    return figure


def mark(axes: Axes, at: Any, means: list[Interval], **look: Any) -> None:
    """Draw measurements with their intervals."""
    value, low, high = np.array(means).T
    style: dict[str, Any] = {"ls": "none", "markersize": 4, "elinewidth": 1} | look
    axes.errorbar(at, value, yerr=[value - low, high - value], **style)


def draw_workers(points: list[Frozen], axes: Axes) -> None:
    """Draw advantage and drift against M."""
    points = sorted(points, key=workers_of)
    at = np.array([workers_of(each) for each in points])
    curves: dict[str, tuple[str, str, float, Callable[[Frozen], float], Callable[[Frozen], np.ndarray]]] = {
        "advantage": ("C0", "-", -0.12, expected_advantage, lambda each: each.advantage),
        "drift$\\,/\\,(||g||_1 E N)$": ("C1", "--", 0.12, lambda each: each.theory.exact, lambda each: each.drift),
    }
    for label, (color, dashes, shift, expected, samples) in curves.items():
        axes.plot(at + shift, [expected(each) for each in points], color=color, ls=dashes, lw=1)
        mark(axes, at + shift, [mean(samples(each)) for each in points], color=color, marker="o", label=label)
    p, d = points[0].known.p[0], len(points[0].gradient)
    axes.set(
        xlabel=f"workers M (p = {p:.1f}, d = {d})", xticks=at[::2], ylabel="advantage, and drift$\\,/\\,(||g||_1 E N)$"
    )
    axes.plot([], [], "-", color="0.3", lw=1, label="lines: theory")
    above(axes, ncols=2)


RULES = {"exact": ("tie 0", "C0", -0.15), "coin": ("coin", "C2", 0.15), "plus": ("tie +1", "C1", 0.0)}
"""A policy for ties: its name in the figure, its colour, and how far its marks are moved aside."""


def draw_ties(points: list[Frozen], axes: Axes) -> None:
    """Draw the advantage of each rule against even M, apart for g_i > 0 and g_i < 0."""
    ms = sorted({workers_of(each) for each in points})
    for rule, (label, color, shift) in RULES.items():
        for sign, (marker, where) in {1: ("^", "$g_i > 0$"), -1: ("v", "$g_i < 0$")}.items():
            some = [
                each for each in points if each.run.attributes["zeros"] == rule and np.sign(each.gradient[0]) == sign
            ]
            if not some:
                continue
            at = np.array([workers_of(each) for each in some])
            axes.plot(
                at, [expected_advantage(each) for each in some], color=color, ls="--" if rule == "coin" else "-", lw=1
            )
            means = [mean(each.advantage) for each in some]
            mark(axes, at + shift, means, color=color, marker=marker, label=f"{label}, {where}")
    axes.set(xlabel=f"workers M (p = {points[0].known.p[0]:.1f})", ylabel="advantage", xticks=ms)
    above(axes, ncols=3)


def theory_at(run: RunRecord, gradient: np.ndarray) -> VoteDrift:
    """Return the drift over ||g||_1 E N at any g; NaN where it is not known."""
    known = law(run, gradient)
    return VoteDrift(np.nan, np.nan) if known is None else theory(run, gradient, known)


def draw_covariance(points: list[Frozen], axes: Axes) -> None:
    """Draw the drift along the diagonal of CE-B."""
    places = sorted(each.gradient[0] for each in points)
    ts = np.linspace(places[0], places[-1], 100)
    for number, (label, group) in enumerate(groupby(points, lambda each: each.run.label)):
        some, color, marker = list(group), f"C{number}", "osD^v"[number % 5]
        run, direction = some[0].run, some[0].gradient / some[0].gradient[0]
        lines = np.array([theory_at(run, t * direction) for t in ts])
        axes.plot(ts, lines[:, 0], "-", color=color, lw=1)
        axes.plot(ts, lines[:, 1], "--", color=color, lw=0.8)
        mark(axes, [each.gradient[0] for each in some], [mean(each.drift) for each in some], color=color,
             marker=marker, label=plain(label))  # fmt: skip
    axes.plot([], [], "-", color="0.3", lw=1, label="theory (C4)")
    axes.plot([], [], "--", color="0.3", lw=0.8, label="without covariance")
    axes.locator_params("x", nbins=5)
    axes.set(xlabel=f"t; x = (t, {direction[1]:g} t) in CE-B", ylabel="drift$\\,/\\,(||g||_1 E N)$")
    above(axes, ncols=3)
