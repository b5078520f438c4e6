"""Figure 2: logistic regression, (a) a constant and (b) a diminishing step; and the text's claims about it.

Solid: the median over the repeats; band: their 10% to 90% quantiles. A run whose every repeat diverged is named only.

    python analysis/figure2.py results/figure2.h5 -o figures
"""

import matplotlib.pyplot as plt
import numpy as np
from claims import better, similar
from figure import command
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpisign.settings import BadInput
from mpisign.trajectory import RunRecord, Trajectory

PANELS = {"constant": "(a) constant step", "harmonic": "(b) diminishing step"}


def draw_run(run: RunRecord, axes: Axes) -> None:
    """One curve with its band; a run without a complete repeat only has its name, with where the first one ended."""
    name = run.label.removeprefix("(a) ").removeprefix("(b) ")
    repeats = run.finished()
    if not repeats:
        ends = [repeat.diverged_at for repeat in run.repeats]
        axes.plot([], [], label=f"{name}: diverged, from k = {min(ends)}")
        return
    gaps = np.array([run.gap(repeat) for repeat in repeats])
    low, middle, high = np.quantile(np.where(gaps > 0, gaps, np.nan), [0.1, 0.5, 0.9], axis=0)
    (line,) = axes.plot(repeats[0].columns["k"], middle, label=name)
    axes.fill_between(repeats[0].columns["k"], low, high, color=line.get_color(), alpha=0.18, linewidth=0)


def by_step(trajectory: Trajectory) -> dict[str, list[RunRecord]]:
    """The runs of each panel."""
    runs = {kind: [run for run in trajectory if run.attributes["step.kind"] == kind] for kind in PANELS}
    if not all(runs.values()):
        raise BadInput(str(trajectory.path), "expected runs with constant and with harmonic steps, as figure2.toml has")
    return runs


def unstated(run: RunRecord) -> str:
    """What the paper does not state, as it was chosen."""
    a = run.attributes
    return (
        f"n = {a['samples']}, d = {a['dimension']}, batch = {a.get('oracle.batch', 'full')}, "
        f"{len(run.repeats)} repeats, {a['iterations']} iterations"
    )


def momentum(runs: list[RunRecord]) -> str:
    """beta of SIGNSGDM and lambda of EF-SIGNSGD, as they were chosen."""
    betas = sorted({float(run.attributes["beta"]) for run in of(runs, "signum")})
    return f"beta = {', '.join(map(str, betas)) or 'none'}, EF's lambda = the step"


def draw(trajectory: Trajectory) -> Figure:
    """Two panels, the settings that the paper leaves open below them; prints the verdict on each claim."""
    runs = by_step(trajectory)
    figure, axes = plt.subplots(1, 2, sharey=True, figsize=(9.6, 5.0))
    for axes_, (kind, title) in zip(axes, PANELS.items(), strict=True):
        for run in runs[kind]:
            draw_run(run, axes_)
        axes_.set(xscale="symlog", yscale="log", xlabel="iterations k", title=title)
        axes_.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=8)
    axes[0].set_ylabel("gap $f(x_k) - f^*$")
    figure.suptitle(f"{unstated(runs['constant'][0])}; {momentum(runs['constant'])}", fontsize=9)
    for line in verdicts(runs):
        print(line)
    return figure


def of(runs: list[RunRecord], method: str) -> list[RunRecord]:
    """The runs of a method."""
    return [run for run in runs if run.attributes["method"] == method]


def verdicts(runs: dict[str, list[RunRecord]]) -> list[str]:
    """Each claim of section V on Figure 2, for every reading of the step that was run."""
    lines = [f"{unstated(runs['constant'][0])}; {momentum(runs['constant'])}"]
    for kind in PANELS:
        sgd = of(runs[kind], "gd")[0]
        lines += [f"{run.label} similar to SGD {similar(run, sgd)}" for run in of(runs[kind], "scaled-sign")]
        for method in ("sign", "signum"):
            for run in of(runs[kind], "scaled-sign"):
                lines += [f"{run.label} better than {x.label} {better(run, x)}" for x in of(runs[kind], method)]
        lines += [f"{run.label} similar to SGD {similar(run, sgd)}" for run in of(runs[kind], "ef-sign")]
    pairs = {run.label.removeprefix("(b) "): run for run in runs["harmonic"]}
    for run in runs["constant"]:
        other = pairs.get(run.label.removeprefix("(a) "))
        if other is not None:
            lines.append(f"{run.label} better than diminishing {better(run, other)}")
    return lines


if __name__ == "__main__":
    raise SystemExit(command(draw, "gaps", __doc__))
