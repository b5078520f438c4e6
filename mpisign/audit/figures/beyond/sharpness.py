"""Draw how sharp the repaired Theorems 2 and 3 are: their floors beside the least that p_min and sigma^2 allow.

A floor is the limit of E V_k as k grows and then alpha tends to 0, in units of sigma^2 / mu. For one worker and for
three: the repaired theorem (R1, R2, at its best lambda) and C0; the sharp one (R4), above which no problem is and which
problems come near to; linear programs over the laws of a stochastic gradient with d equal coordinates. The last panel
is of the counterexamples CE-A and CE-B: what was measured, where files of jobs/ce-a.toml and jobs/ce-b.toml are given,
beside what each bound leaves as k grows at the step of the run.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpisign.audit.bounds.hypotheses import Hypotheses, given
from mpisign.audit.figures.figure import above, noted, parser_of, remark, report, save, status_of, whole
from mpisign.audit.intervals import Interval, mean
from mpisign.audit.run_comparison import final_gaps
from mpisign.config.validation import InputError
from mpisign.storage.trajectory import RunRecord, Trajectory
from mpisign.theory import bounds, drift
from mpisign.theory.extremal.sharpness import example_floor, floor, linear_program
from mpisign.theory.vote_moments import wrong_share

LEAST, MOST = 0.505, 0.995
"""The range of p_min in the figure; at 1/2 R1 and R2 are infinite."""

TABLE = (0.55, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Where the numbers are printed."""

COORDINATES = (2, 4, 12)
"""Numbers of equal coordinates for the linear programs."""


class Floors(NamedTuple):
    """What a run is left with as k grows, by each bound at its step, and what was measured."""

    name: str
    measured: Interval
    printed: float
    sharp: float
    repaired: float
    any_noise: float


def repaired_floor(p_min: float, workers: int) -> float:
    """Return the floor of R1 or R2 at its best lambda, delta / (2 rho) with rho = A - l, delta = e / (4 phi e + l).

    (4 phi e + l) (A - l) is largest at l = (A - 4 phi e) / 2, where that is positive, and otherwise at 0.
    """
    rho = drift.repaired(p_min, 1.0, workers).rho
    e, phi = (1 - rho) / 2, wrong_share(workers)
    added = max((rho - 4 * phi * e) / 2, 0.0)
    return e / (2 * (4 * phi * e + added) * (rho - added))


def any_noise_floor(workers: int) -> float:
    """Return the floor of C0 or C0-M, c_M^2 / 2."""
    return (2 / wrong_share(workers) - 1) ** 2 / 2


@cache
def findings() -> tuple[str, ...]:
    """Return a line for each p_min and M: the bounds, the linear programs and examples."""
    lines = ["floors in units of sigma^2 / mu, as alpha -> 0:"]
    for workers in (1, 3):
        for p_min in TABLE:
            found = linear_program(p_min, COORDINATES[-1], workers, close=1e-4)
            lines.append(
                f"M = {workers}, p_min = {p_min:g}: repaired {repaired_floor(p_min, workers):.4f}, "
                f"C0 {any_noise_floor(workers):.4g}, sharp {floor(p_min, workers):.4f}; d = {COORDINATES[-1]}: "
                f"linear program {found.low:.4f} to {found.high:.4f}, "
                f"example {example_floor(p_min, COORDINATES[-1], workers):.4f}"
            )
    return tuple(lines)


def of_files(trajectories: list[Trajectory]) -> list[Floors]:
    """Return the floors of the run with the least step, for each number of workers in each file.

    Raises:
        InputError: If a file has no run that the theorems speak of, or a repeat has not ended.
    """
    found = []
    for file in whole(trajectories):
        least: dict[int, tuple[Hypotheses, RunRecord]] = {}
        for run in file:
            if run.attributes["method"] == "scaled-sign" and not run.attributes.get("oracle.decoupled"):
                known = given(run, {})
                if known.alpha and (known.workers not in least or known.alpha < (least[known.workers][0].alpha or 0)):
                    least[known.workers] = known, run
        if not least:
            raise InputError(
                str(file.path), "expected a run of scaled-sign with a constant step, as jobs/ce-a.toml has"
            )
        found += [_floors(file, *least[workers]) for workers in sorted(least)]
    return found


def _floors(file: Trajectory, known: Hypotheses, run: RunRecord) -> Floors:
    """Return what is left of each bound after very many iterations.

    Raises:
        InputError: If a constant is not known, or the step is not in the range of a bound.
    """
    p_min = known.p_min.get("over g_i != 0", next(iter(known.p_min.values()), None))
    mu, L, alpha, sigma2, workers = known.mu, known.L, known.alpha, known.sigma2, known.workers
    if mu is None or L is None or alpha is None or sigma2 is None or p_min is None:
        raise InputError(str(file.path), f"expected mu, L, sigma^2 and p_min of {run.label!r}, as jobs/ce-a.toml has")
    late, same = np.array([10**12]), {"mu": mu, "L": L, "alpha": alpha, "sigma2": sigma2}
    try:
        rho, delta = drift.sharp(p_min, sigma2, workers)
        found = (
            bounds.theorem3(late, 0.0, **same, p_min=p_min, workers=workers),
            bounds.drift_bound(late, 0.0, **same, rho=rho, delta=delta),
            bounds.theorem3_repaired(late, 0.0, mu=mu, L=L, alpha=alpha, sigma2=sigma2, p_min=p_min, workers=workers),
            bounds.floor_bound(late, 0.0, mu=mu, L=L, alpha=alpha, sigma2=sigma2, workers=workers),
        )
    except ValueError as error:
        raise InputError(str(file.path), f"{run.label!r}: expected {error}") from None
    name = f"{file.path.stem.upper()}, M = {known.workers}"
    return Floors(name, mean(final_gaps(run)), *(float(each[0]) for each in found))


def measured_lines(rows: list[Floors]) -> list[str]:
    """Return a line for each run of the files: what was measured, and what each bound leaves."""
    return [
        f"{row.name}: measured {row.measured}, printed {row.printed:.3g}, sharp {row.sharp:.3g}, "
        f"repaired {row.repaired:.3g}, C0 {row.any_noise:.3g}"
        for row in rows
    ]


def draw(rows: list[Floors]) -> Figure:
    """Draw the panels for M = 1 and M = 3, and one for the runs of files, if there are any."""
    number = 3 if rows else 2
    figure, axes = plt.subplots(1, number, figsize=(3.9 * number, 4.2))
    draw_floors(axes[0], 1)
    draw_floors(axes[1], 3)
    if rows:
        draw_runs(axes[2], rows)
    remark(
        figure,
        "Problems come as near as one likes to every point of the shaded region, and none lies above it. The printed"
        " theorems have the floor 0 everywhere.\nFor M = 3 and $p_{min} > 0.7071$ that is right, at a slower rate.",
    )
    return figure


def draw_floors(axes: Axes, workers: int) -> None:
    """Draw floors against p_min."""
    fine = np.linspace(LEAST, MOST, 400)
    axes.plot(
        fine, [repaired_floor(p, workers) for p in fine], ls="-.", color="C2", label="R1" if workers == 1 else "R2"
    )
    axes.axhline(
        any_noise_floor(workers),
        color="C6",
        ls=(0, (1, 1)),
        label="C0" if workers == 1 else f"C0-M: {any_noise_floor(workers):g}, not in sight",
    )
    sharp = np.array([floor(p, workers) for p in fine])
    axes.plot(fine, sharp, "-", color="C0", lw=2, label="R4, sharp")
    axes.fill_between(fine, 0, sharp, color="C0", alpha=0.08, lw=0)
    coarse = np.linspace(0.52, 0.98, 24)
    for d, marker, color in zip(COORDINATES, "vsD", ("C1", "C3", "C4"), strict=True):
        found = [linear_program(p, d, workers, close=3e-3).low or np.nan for p in coarse]
        axes.plot(coarse, found, ls="none", marker=marker, ms=3.5, color=color, label=f"linear program, d = {d}")
    axes.set(xlabel="$p_{min}$", ylabel="floor$\\,/\\,(\\sigma^2/\\mu)$", xlim=(0.5, 1), ylim=(0, 0.62))
    axes.set_title(f"M = {workers}", loc="left")
    axes.legend(fontsize=8, loc="upper right")


def draw_runs(axes: Axes, rows: list[Floors]) -> None:
    """Draw a row for each run: what was measured, with its interval, and each bound."""
    at = -np.arange(len(rows))
    marks = {"printed": ("x", "C1"), "sharp": ("o", "C0"), "repaired": ("s", "C2"), "any_noise": ("D", "C6")}
    names = {"printed": "printed", "sharp": "R4, sharp", "repaired": "R1, R2", "any_noise": "C0, C0-M"}
    for field, (marker, color) in marks.items():
        axes.plot([getattr(row, field) for row in rows], at, marker, color=color, ms=5, label=names[field])
    value, low, high = np.array([row.measured for row in rows]).T
    axes.errorbar(
        value, at, xerr=[value - low, high - value], fmt="^", color="C3", ms=6, elinewidth=1, label="measured"
    )
    axes.set_yticks(at, [row.name for row in rows])
    axes.set(xscale="log", xlabel="floor of $f - f^*$ at the step of the run", ylim=(0.5 - len(rows), 0.5))
    above(axes, ncols=3)


def main(documentation: str | None) -> int:
    """Run the command; return its exit status: 0, or 2 for bad input."""
    parser = parser_of(documentation)
    help_text = "trajectory files of jobs/ce-a.toml and jobs/ce-b.toml; without them their panel is not drawn"
    parser.add_argument("files", type=Path, nargs="*", metavar="FILE.h5", help=help_text)
    options = parser.parse_args()

    def draw_and_print() -> None:
        trajectories = [Trajectory(path) for path in options.files]
        rows = of_files(trajectories)
        report(*findings(), *measured_lines(rows))
        save(noted(draw(rows), trajectories), options.output / "sharpness")

    return status_of(draw_and_print, options.output)
