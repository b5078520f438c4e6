"""Draw the gap against iterations, bits and seconds, for every run of a trajectory file.

Lines are the median over the repeats, bands their 10% to 90% quantiles, up to the last record that all of them have:
rules of `stop` end repeats at different k. Of a run without a complete repeat those that are still running are drawn,
as far; the legend says how far a run is.
"""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpisign.audit.figures.figure import look, median_and_band, plain
from mpisign.config.validation import InputError, shown
from mpisign.storage.remarks import progress
from mpisign.storage.trajectory import RunRecord, Trajectory

AXES = {
    "iterations": "iterations k",
    "bits": "bits sent, up and down, all workers",
    "seconds": "seconds on rank 0, without evaluation",
}


def abscissa(run: RunRecord, axis: str, records: int) -> np.ndarray:
    """Return what the horizontal axis shows, as the median over the repeats, shape (records,)."""
    columns = [repeat.columns for repeat in run.to_show()]
    if axis == "iterations":
        return np.asarray(columns[0]["k"][:records])
    if axis == "bits":  # which differ between repeats where a second plane travels
        return np.asarray(
            np.median([(column["bits_up"] + column["bits_down"])[:records] for column in columns], axis=0)
        )
    return np.asarray(np.median([column["seconds"][:records] for column in columns], axis=0))


def draw_run(run: RunRecord, planned: range, axes: Axes, axis: str, style: dict[str, Any]) -> None:
    """Draw one curve with its band; where it is not positive (rounding) it is left out.

    Args:
        run: The run.
        planned: The numbers of its repeats.
        axes: Where it is drawn.
        axis: One of AXES.
        style: Colour and dashes.
    """
    repeats = run.to_show()
    records = min(len(repeat.columns["k"]) for repeat in repeats)
    gaps = np.array([run.gap(repeat)[:records] for repeat in repeats])
    low, middle, high = median_and_band(gaps)
    x = abscissa(run, axis, records)
    partial = progress(run, planned)
    label = plain(f"{run.label}, {partial}" if partial else run.label)
    (line,) = axes.plot(x, middle, label=label, **style)
    axes.fill_between(x, low, high, color=line.get_color(), alpha=0.18, linewidth=0)


def draw_axis(trajectory: Trajectory, axes: Axes, axis: str) -> None:
    """Draw every run that has a complete repeat, or one that is running, against one of AXES, with a legend.

    Raises:
        InputError: If there is no such run, or no such axis.
    """
    if axis not in AXES:
        raise InputError("x", f"expected one of {', '.join(AXES)}, got {shown(axis)}")
    for number, run in enumerate(_with_records(trajectory)):
        draw_run(run, trajectory.repeats, axes, axis, look(number))
    axes.set(xscale="log", yscale="log", xlabel=AXES[axis], ylabel="gap $f(x_k) - f^*$")
    axes.legend()


def _with_records(trajectory: Trajectory) -> list[RunRecord]:
    """Return the runs with a repeat that can be drawn.

    Raises:
        InputError: If there is none.
    """
    found = [run for run in trajectory if run.to_show()]
    if not found:
        what = "expected a run with a complete repeat, or one that is running and has a record; there is none"
        raise InputError(str(trajectory.path), what)
    return found


def draw(trajectory: Trajectory) -> Figure:
    """Draw three panels that share the gap axis, with one legend above them."""
    runs = _with_records(trajectory)
    figure, axes = plt.subplots(1, 3, sharey=True, figsize=(9.6, 3.4))
    for number, run in enumerate(runs):
        for axes_, axis in zip(axes, AXES, strict=True):
            draw_run(run, trajectory.repeats, axes_, axis, look(number))
    for axes_, label in zip(axes, AXES.values(), strict=True):
        axes_.set(xscale="log", yscale="log", xlabel=label)
    axes[0].set_ylabel("gap $f(x_k) - f^*$")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(3, len(labels)))
    return figure
