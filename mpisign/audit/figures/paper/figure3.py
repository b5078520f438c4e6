"""Draw Figure 3: Algorithm 3 with more and more workers; and test the claim that more workers are better.

Left is the median over the repeats, with even M dashed; right the final gap of each repeat, and their geometric mean.
"""

import itertools
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mpisign.audit.figures.figure import plain, remark, whole
from mpisign.audit.figures.paper.unstated import tabulate, unstated
from mpisign.audit.run_comparison import ComparisonResult, better, final_gaps
from mpisign.config.validation import InputError
from mpisign.storage.trajectory import RunRecord, Trajectory


def by_workers(trajectory: Trajectory) -> list[RunRecord]:
    """Return the runs from one worker to many.

    Raises:
        InputError: If there is one number only, or a repeat has not ended.
    """
    runs = sorted(trajectory, key=lambda run: run.attributes["workers"])
    if len({run.attributes["workers"] for run in runs}) < 2:
        raise InputError(
            str(trajectory.path), "expected runs with several numbers of workers, as jobs/figure3.toml has"
        )
    whole([trajectory])
    return runs


def draw(trajectory: Trajectory) -> Figure:
    """Draw the gap against k, the final gap against M, and what the paper leaves open.

    Raises:
        InputError: If no run has a complete repeat.
    """
    every = by_workers(trajectory)
    runs = [run for run in every if run.finished()]
    if not runs:
        raise InputError(str(trajectory.path), "expected a run with a complete repeat; all diverged")
    figure, axes = plt.subplot_mosaic("ab;cd", figsize=(9.6, 5.8), height_ratios=[3, 1.5])
    shades = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(runs)))
    for run, shade in zip(runs, shades, strict=True):
        draw_run(run, shade, axes["a"], axes["b"])
    workers = [run.attributes["workers"] for run in runs]
    axes["a"].set(xscale="symlog", yscale="log", xlabel="iterations k", ylabel="gap $f(x_k) - f^*$")
    axes["b"].set(xscale="log", yscale="log", xlabel="workers M", ylabel="final gap $f - f^*$")
    axes["b"].set_title("averaged over the last tenth of the iterations")
    marks = [Line2D([], [], color="0.3", ls="none", marker=mark) for mark in ".D"]
    axes["b"].legend(marks, ["a repeat", "geometric mean"], loc="best", fontsize=8)
    if len(runs) < len(every):
        lost = ", ".join(plain(run.label) for run in every if not run.finished())
        remark(figure, f"Not drawn, as every repeat diverged: {lost}.")
    axes["b"].set_xticks(workers, [str(number) for number in workers])
    axes["b"].minorticks_off()
    axes["c"].axis("off")
    axes["c"].legend(*axes["a"].get_legend_handles_labels(), loc="center", ncols=2, handlelength=3.5)
    tabulate(settings(runs), axes["d"])
    return figure


def settings(runs: list[RunRecord]) -> dict[str, str]:
    """Return the settings that the paper leaves open."""
    return {**unstated(runs), "reading of alpha": "per coordinate, alpha / d (Remark 4)"}


def findings(trajectory: Trajectory) -> list[str]:
    """Return the settings that the paper leaves open, and the verdict on each step to more workers."""
    runs = by_workers(trajectory)
    return [*map(": ".join, settings(runs).items()), *(f"{claim} {finding}" for claim, finding in claims(runs))]


def draw_run(run: RunRecord, shade: Any, left: Axes, right: Axes) -> None:
    """Draw the median gap of a run, and each repeat's final gap; with their geometric mean, where all are above 0."""
    gaps, workers, final = [run.gap(repeat) for repeat in run.finished()], run.attributes["workers"], final_gaps(run)
    dashes = (0, (3, 3)) if workers % 2 == 0 else "-"
    left.plot(run.finished()[0].columns["k"], np.median(gaps, axis=0), color=shade, ls=dashes, label=plain(run.label))
    right.plot(np.full(len(final), workers), final, ".", color=shade)
    if (final > 0).all():
        right.plot(workers, np.exp(np.log(final).mean()), "D", color=shade, markersize=6)


def claims(runs: list[RunRecord]) -> list[ComparisonResult]:
    """Judge, for each M against the one before, whether more workers are better."""
    return [
        (f"{more.label} better than {fewer.label}", better(more, fewer)) for fewer, more in itertools.pairwise(runs)
    ]
