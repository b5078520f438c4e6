"""Draw Figure 1 (Example 4): the gap of five methods on f(x) = x^2 + 3 sin^2 x, and of SIGNUM for several beta.

The first start is thick, the others are thin.
"""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpisign.audit.figures.figure import chosen, plain, remark
from mpisign.config.validation import InputError
from mpisign.storage.trajectory import RunRecord, Trajectory

ONE_ITERATION = ("gd", "scaled-sign", "ef-sign")
"""Methods that are one iteration in one dimension: ||g||_1 sign(g) = g, and error feedback keeps 0."""

STYLES = (
    {"color": "0.75", "ls": "-", "lw": 5.0},
    {"color": "C0", "ls": "-", "lw": 1.6},
    {"color": "C1", "ls": (0, (2, 3)), "lw": 2.2},
    {"color": "C2", "ls": "-.", "lw": 1.2},
    {"color": "black", "ls": "-", "lw": 0.8},
)


_LEAST = 100
"""Iterations after which GD's factor is read."""


def draw_run(axes: Axes, run: RunRecord, style: dict[str, Any]) -> None:
    """Draw the gap from each start, where it is above 0: the first thick, the others faint."""
    for i, repeat in enumerate(run.finished()):
        faint: dict[str, Any] = {"alpha": 0.25, "lw": 0.8, "zorder": 1} if i else {"label": plain(run.label)}
        gap = run.gap(repeat)
        axes.plot(repeat.columns["k"], np.where(gap > 0, gap, np.nan), **(style | faint))


def same(trajectory: Trajectory) -> list[bool]:
    """Return, for each start that all three methods ended from, whether their x_k agree bit for bit for every k.

    Raises:
        InputError: If there is no such start.
    """
    runs = [chosen(trajectory, method) for method in ONE_ITERATION]
    ends = [{repeat.number: repeat.columns["x"].tobytes() for repeat in run.finished()} for run in runs]
    shared = set.intersection(*map(set, ends))
    if not shared:
        raise InputError(str(trajectory.path), f"expected a start from which all of {', '.join(ONE_ITERATION)} ended")
    return [len({each[number] for each in ends}) == 1 for number in sorted(shared)]


def five(trajectory: Trajectory) -> list[RunRecord]:
    """Return the runs of the left panel."""
    return [chosen(trajectory, method) for method in (*ONE_ITERATION, "sign", "signum")]


def sweep(trajectory: Trajectory) -> list[RunRecord]:
    """Return the runs of SIGNUM, by momentum."""
    runs = [run for run in trajectory if run.attributes["method"] == "signum" and run.finished()]
    return sorted(runs, key=lambda run: run.attributes["beta"])


def identity(trajectory: Trajectory) -> str:
    """Return a line on the number of starts in which the three methods are one iteration."""
    agree = same(trajectory)
    return f"GD, scaled signGD and EF-signGD are the same iteration: bit for bit in {sum(agree)} of {len(agree)} starts"


def draw(trajectory: Trajectory) -> Figure:
    """Draw five methods, and the sweep over the momentum."""
    figure, axes = plt.subplots(1, 2, figsize=(9.0, 4.2), sharey=True)
    for run, style in zip(five(trajectory), STYLES, strict=True):
        draw_run(axes[0], run, style)
    for i, run in enumerate(sweep(trajectory)):
        draw_run(axes[1], run, {"color": f"C{i}", "ls": ("-", "--", "-.", ":")[i % 4], "lw": 1.2})
    for panel, title in zip(axes, ("five methods", "SIGNUM, by its momentum"), strict=True):
        panel.set(yscale="log", ylim=(1e-18, 1e3), xlabel="iterations k", title=title)
        panel.legend(loc="center right")
    axes[0].set_ylabel("gap $f(x_k) - f^*$")
    remark(figure, f"In one dimension {identity(trajectory)}.")
    return figure


def late(run: RunRecord) -> np.ndarray:
    """Return the last 50 gaps of every start."""
    return np.concatenate([run.gap(repeat)[-50:] for repeat in run.finished()])


def oscillating(trajectory: Trajectory) -> list[RunRecord]:
    """Return the runs of signGD and of SIGNUM for every beta."""
    return [chosen(trajectory, "sign"), *sweep(trajectory)]


def findings(trajectory: Trajectory) -> list[str]:
    """Return whether three methods are one, the factor of the gap beside (16)'s zeta, and where the others stay."""
    gd = chosen(trajectory, "gd", _LEAST)
    alpha = float(gd.attributes["step.alpha"])
    factors = [gap[_LEAST] / gap[_LEAST - 1] for gap in map(gd.gap, gd.finished())]
    mu, smooth = float(gd.attributes["mu_PL"]), float(gd.attributes["L"])
    return [
        "paper: scaled signGD has the linear rate of GD and EF-signGD; signGD and SIGNUM oscillate",
        identity(trajectory),
        f"gap's factor an iteration at k = {_LEAST}: {min(factors):.6f} to {max(factors):.6f}; near 0 f is 4 x^2: "
        f"(1 - 8 alpha)^2 = {(1 - 8 * alpha) ** 2:.6f}; Theorem 1's zeta = "
        f"{1 - 2 * mu * alpha * (1 - smooth * alpha / 2):.6f}",
        *(
            f"{run.label}: the last 50 gaps of every start lie in {late(run).min():.2e} to {late(run).max():.2e}"
            for run in oscillating(trajectory)
        ),
    ]
