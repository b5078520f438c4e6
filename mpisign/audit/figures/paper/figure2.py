"""Draw Figure 2: logistic regression, (a) a constant and (b) a diminishing step; and test the text's claims about it.

The upper panels have each step read per coordinate, the lower ones as printed. Lines are the median over the repeats,
bands their 10% to 90% quantiles. analysis/example5.py draws what the text claims, over several of these files.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpisign.audit.figures.figure import median_and_band, remark, whole
from mpisign.audit.figures.paper.unstated import tabulate, unstated
from mpisign.audit.run_comparison import ComparisonResult, better, similar
from mpisign.config.validation import InputError
from mpisign.storage.trajectory import RunRecord, Trajectory

PANELS = {"constant": "(a) constant step", "harmonic": "(b) diminishing step"}
READINGS = ("per coordinate", "as printed")
METHODS = {
    "gd": "SGD",
    "scaled-sign": "scaled signSGD",
    "sign": "signSGD",
    "signum": "signSGDM",
    "ef-sign": "EF-signSGD",
}
_HIGHEST = 1e9
"""Gaps above it are not drawn: a run that diverges goes up to 1e308."""


def by_step(trajectory: Trajectory) -> dict[str, list[RunRecord]]:
    """Return the runs of each panel, of the methods drawn.

    Raises:
        InputError: If SGD is missing, or a repeat has not ended.
    """
    known = [run for run in trajectory if run.attributes["method"] in METHODS]
    runs = {kind: [run for run in known if run.attributes["step.kind"] == kind] for kind in PANELS}
    if not all(of(some, "gd") for some in runs.values()):
        raise InputError(
            str(trajectory.path), "expected SGD with constant and with harmonic steps, as jobs/figure2.toml has"
        )
    whole([trajectory])
    return runs


def of(runs: list[RunRecord], method: str) -> list[RunRecord]:
    """Return the runs of a method."""
    return [run for run in runs if run.attributes["method"] == method]


def read_as(runs: list[RunRecord], reading: str) -> list[RunRecord]:
    """Return the runs with this reading of the step, and those that have only one."""
    return [run for run in runs if run.label.endswith(reading) or not run.label.endswith(READINGS)]


def draw_run(run: RunRecord, axes: Axes) -> None:
    """Draw one curve with its band, as far as every repeat goes.

    A run that diverges leaves through the top, with a word; words stand below one another.
    """
    style = plt.rcParams["axes.prop_cycle"].by_key()
    number = list(METHODS).index(run.attributes["method"])
    color, dashes = style["color"][number], style["linestyle"][number]
    records = min(len(repeat.columns["k"]) for repeat in run.repeats)
    gaps = np.array([run.gap(repeat)[:records] for repeat in run.repeats])
    low, middle, high = median_and_band(gaps, _HIGHEST)
    k = run.repeats[0].columns["k"][:records]
    (line,) = axes.plot(k, middle, color=color, ls=dashes, label=METHODS[run.attributes["method"]])
    axes.fill_between(k, low, high, color=color, alpha=0.18, linewidth=0)
    if clipped(run) and np.isfinite(middle).any():
        last = int(np.flatnonzero(np.isfinite(middle))[-1])
        axes.plot(k[last], middle[last], "^", color=color)
    ends = [repeat.diverged_at for repeat in run.repeats if repeat.diverged_at is not None]
    if ends:
        below = 0.98 - 0.07 * len(axes.texts)
        axes.text(0.98, below, f"{line.get_label()} diverges, from k = {min(ends)}", color=color, ha="right", va="top",
                  transform=axes.transAxes)  # fmt: skip


def clipped(run: RunRecord) -> bool:
    """Return whether a gap of the run is higher than what is drawn."""
    return any(not (run.gap(repeat) < _HIGHEST).all() for repeat in run.repeats)


def draw(trajectory: Trajectory) -> Figure:
    """Draw two by two panels, with the settings that the paper leaves open below them."""
    runs = by_step(trajectory)
    figure, axes = plt.subplots(3, 2, figsize=(9.6, 8.6), height_ratios=[3, 3, 1.6])
    for row, reading in zip(axes, READINGS, strict=False):
        for axes_, (kind, title) in zip(row, PANELS.items(), strict=True):
            for run in read_as(runs[kind], reading):
                draw_run(run, axes_)
            axes_.set(xscale="symlog", yscale="log", xlabel="iterations k", title=f"{title}, alpha {reading}")
        row[0].set_ylabel("gap $f(x_k) - f^*$")
    if any(clipped(run) for run in [*runs["constant"], *runs["harmonic"]]):
        remark(figure, f"Triangle: from there on the gap is above {_HIGHEST:.0e}, which is not drawn.")
    axes[2, 0].axis("off")
    axes[2, 0].legend(*axes[0, 0].get_legend_handles_labels(), loc="center", handlelength=3.5)
    tabulate(unstated(runs["constant"]), axes[2, 1])
    return figure


def findings(trajectory: Trajectory) -> list[str]:
    """Return the settings that the paper leaves open, and the verdict on each claim."""
    runs = by_step(trajectory)
    settings = unstated(runs["constant"])
    return [*map(": ".join, settings.items()), *(f"{claim} {finding}" for claim, finding in claims(runs))]


def claims(runs: dict[str, list[RunRecord]]) -> list[ComparisonResult]:
    """Judge each claim of section V on Figure 2, for every reading of the step that was run."""
    found = []
    for kind in PANELS:
        sgd = of(runs[kind], "gd")[0]
        found += [(f"{run.label} similar to SGD", similar(run, sgd)) for run in of(runs[kind], "scaled-sign")]
        for reading in READINGS:
            some = read_as(runs[kind], reading)
            for run in of(some, "scaled-sign"):
                others = [*of(some, "sign"), *of(some, "signum")]
                found += [(f"{run.label} better than {name(other)}", better(run, other)) for other in others]
        found += [(f"{run.label} similar to SGD", similar(run, sgd)) for run in of(runs[kind], "ef-sign")]
    diminishing = {name(run): run for run in runs["harmonic"]}
    for run in runs["constant"]:
        if name(run) in diminishing:
            found.append((f"{name(run)}: (a) better than (b)", better(run, diminishing[name(run)])))
    return found


def name(run: RunRecord) -> str:
    """Return a run's label without its panel."""
    return run.label.removeprefix("(a) ").removeprefix("(b) ")
