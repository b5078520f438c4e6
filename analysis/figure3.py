"""Figure 3: Algorithm 3 with more and more workers; and the claim that more workers are better.

Solid: the median over the repeats. Right: the final gap of each repeat, and their geometric mean.

    python analysis/figure3.py results/figure3.h5 -o figures
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np
from claims import better, final_gaps
from figure import command
from figure2 import unstated
from matplotlib.figure import Figure

from mpisign.settings import BadInput
from mpisign.trajectory import RunRecord, Trajectory


def by_workers(trajectory: Trajectory) -> list[RunRecord]:
    """The runs that finished, from one worker to many."""
    runs = sorted((run for run in trajectory if run.finished()), key=lambda run: run.attributes["workers"])
    if len(runs) < 2:
        raise BadInput(str(trajectory.path), "expected runs with several numbers of workers, as figure3.toml has")
    return runs


def draw(trajectory: Trajectory) -> Figure:
    """Two panels: gap against k, and final gap against M; prints the verdict on each step to more workers."""
    runs = by_workers(trajectory)
    figure, (left, right) = plt.subplots(1, 2, sharey=True, figsize=(9.6, 4.0))
    shades = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(runs)))
    for run, shade in zip(runs, shades, strict=True):
        gaps = np.array([run.gap(repeat) for repeat in run.finished()])
        left.plot(run.finished()[0].columns["k"], np.median(gaps, axis=0), color=shade, ls="-", label=run.label)
        final = final_gaps(run)
        workers = run.attributes["workers"]
        right.plot(np.full(len(final), workers), final, ".", color=shade)
        right.plot(workers, np.exp(np.log(final).mean()), "D", color=shade, markersize=6)
    left.set(xscale="symlog", yscale="log", xlabel="iterations k", ylabel="gap $f(x_k) - f^*$")
    left.legend(fontsize=8, ncols=2)
    right.set(xscale="log", xlabel="workers M", title="final gap, averaged over the last tenth")
    right.set_xticks([run.attributes["workers"] for run in runs], [str(run.attributes["workers"]) for run in runs])
    right.minorticks_off()
    figure.suptitle(unstated(runs[0]), fontsize=9)
    print(unstated(runs[0]))
    for fewer, more in itertools.pairwise(runs):
        print(f"{more.label} better than {fewer.label} {better(more, fewer)}")
    return figure


if __name__ == "__main__":
    raise SystemExit(command(draw, "workers", __doc__))
