"""Draw Example 1: the orbits of signGD (2) and of GD on f(x) = x_1^2 + x_2^2, from the starts of jobs/example1.toml."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpisign.audit.figures.figure import chosen, plain, remark
from mpisign.storage.trajectory import RunRecord, Trajectory

STYLES: dict[str, Any] = {"marker": "o", "markersize": 4}
_LEAST = 2
"""Least number of iterations that show a cycle of two."""


def fate(x: np.ndarray, alpha: float) -> str:
    """Describe in words what becomes of an orbit x of (2), shape (K + 1, 2)."""
    if (x[-1] == 0).all():
        return f"reaches the minimum exactly, at k = {int((x == 0).all(axis=1).argmax())}"
    if (x[-1] == x[-3]).all() and (x[-1] != x[-2]).all():
        return f"ends in a cycle of two points, max |x_i| = {np.abs(x[-2:]).max() / alpha:.4g} alpha"
    return f"is {np.abs(x[-1]).max() / alpha:.3g} alpha from the minimum at its end"


def alternates(x: np.ndarray) -> bool:
    """Return whether x_{2l} = x_0 and x_{2l+1} = -x_0; (4) prints the opposite parity, which is not x_0."""
    return bool((x[::2] == x[0]).all() and (x[1::2] == -x[0]).all())


def orbits(trajectory: Trajectory) -> list[np.ndarray]:
    """Return x of signGD (2) from each start, shape (K + 1, 2) each."""
    return [repeat.columns["x"] for repeat in chosen(trajectory, "sign", _LEAST).finished()]


def from_the_paper(trajectory: Trajectory) -> list[np.ndarray]:
    """Return the orbits of signGD from (alpha/2, alpha/2)."""
    alpha = float(chosen(trajectory, "sign").attributes["step.alpha"])
    return [x for x in orbits(trajectory) if (x[0] == alpha / 2).all()]


def from_the_lattice(trajectory: Trajectory) -> list[np.ndarray]:
    """Return the orbits of signGD from alpha Z^2."""
    alpha = float(chosen(trajectory, "sign").attributes["step.alpha"])
    return [x for x in orbits(trajectory) if (x[0] % alpha == 0).all()]


def start(x: np.ndarray, alpha: float) -> str:
    """Describe x_0 in units of alpha, of an orbit x of shape (K + 1, 2)."""
    return f"({x[0, 0] / alpha:.3g}, {x[0, 1] / alpha:.3g}) alpha"


def draw_orbits(axes: Axes, run: RunRecord, alpha: float) -> None:
    """Draw the orbit from each start, in units of alpha."""
    for repeat in run.finished():
        x = repeat.columns["x"] / alpha
        axes.plot(x[:, 0], x[:, 1], label=f"from {start(repeat.columns['x'], alpha)}", **STYLES)
    axes.plot(0, 0, "k+", markersize=10)
    axes.set(
        xlabel="$x_1$ / alpha", ylabel="$x_2$ / alpha", aspect="equal", adjustable="datalim", title=plain(run.label)
    )


def draw_distance(axes: Axes, sign: RunRecord, gd: RunRecord, alpha: float) -> None:
    """Draw max |x_i| over alpha against k: signGD from each start, and GD from its last one."""
    for repeat in sign.finished():
        axes.plot(repeat.columns["k"], np.abs(repeat.columns["x"]).max(axis=1) / alpha, **STYLES)
    columns = gd.finished()[-1].columns
    label = f"GD from {start(columns['x'], alpha)}"
    axes.plot(columns["k"], np.abs(columns["x"]).max(axis=1) / alpha, color="black", ls="-", lw=1, label=label)
    axes.set(xlabel="iterations k", ylabel="max $|x_i|$ / alpha", title="distance to the minimum")


def draw(trajectory: Trajectory) -> Figure:
    """Draw the orbits in the plane, and the distance against k."""
    sign, gd = chosen(trajectory, "sign"), chosen(trajectory, "gd")
    alpha = float(sign.attributes["step.alpha"])
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.8))
    draw_orbits(axes[0], sign, alpha)
    draw_distance(axes[1], sign, gd, alpha)
    figure.legend(loc="outside upper center", ncols=4)
    remark(
        figure,
        "The paper's start (alpha/2, alpha/2) returns at even k: (4) has the parity swapped.\n"
        "A start on the lattice alpha Z^2 does converge, in finitely many steps; others end in a cycle of two.",
    )
    return figure


def findings(trajectory: Trajectory) -> list[str]:
    """Return whether the paper's start alternates, where it is among these; the fate of each orbit; and GD's."""
    gd, found = chosen(trajectory, "gd"), orbits(trajectory)
    alpha = float(chosen(trajectory, "sign").attributes["step.alpha"])
    return [
        *(
            f"x_2l = x_0 = +(alpha/2, alpha/2), x_2l+1 = -x_0: {alternates(x)}; "
            "(4) prints the opposite parity, which is not x_0"
            for x in from_the_paper(trajectory)
        ),
        *(f"signGD from {x[0] / alpha} alpha {fate(x, alpha)}" for x in found),
        f"GD from the same starts: f(x_K) = {max(gd.gap(repeat)[-1] for repeat in gd.finished()):.3g} at most",
    ]
