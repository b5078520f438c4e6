"""Draw where the time of every run goes: a stacked bar for rank 0, and one for the slowest worker where it is another.

Seconds are medians over the repeats, at the last record that all of them have. They are those of `log.clocks`; the
first four parts make up the file's `seconds`.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from mpisign.audit.figures.figure import plain
from mpisign.config.validation import InputError
from mpisign.storage.trajectory import PHASES, RunRecord, Trajectory


def has_clocks(trajectory: Trajectory) -> bool:
    """Return whether a run can be drawn."""
    return bool(_clocked(trajectory))


def _clocked(trajectory: Trajectory) -> list[RunRecord]:
    """Return the runs whose repeats have clocks, and a record."""
    return [run for run in trajectory if run.to_show() and all("clock_step" in r.columns for r in run.to_show())]


def seconds(run: RunRecord, prefix: str) -> np.ndarray:
    """Return the median seconds of each of PHASES; prefix: "clock" or "slowest"."""
    repeats = run.to_show()
    at = min(len(repeat.columns["k"]) for repeat in repeats) - 1
    return np.array([np.median([r.columns[f"{prefix}_{name}"][at] for r in repeats]) for name in PHASES])


def draw(trajectory: Trajectory) -> Figure:
    """Draw a bar or two for every run.

    Raises:
        InputError: If no run has clocks.
    """
    runs = _clocked(trajectory)
    if not runs:
        raise InputError(str(trajectory.path), "expected a run with log.clocks = true; there is none")
    bars = [bar for run in runs for bar in _bars(run)]
    figure, axes = plt.subplots(figsize=(7.2, 1.2 + 0.4 * len(bars)))
    left, found = np.zeros(len(bars)), np.array([lengths for _, lengths in bars])
    for phase, name in enumerate(PHASES):
        axes.barh(range(len(bars)), found[:, phase], left=left, height=0.8, label=name)
        left += found[:, phase]
    axes.set_yticks(range(len(bars)), [label for label, _ in bars])
    axes.set(xlabel="seconds", xlim=(0.0, 1.03 * float(left.max())))
    axes.invert_yaxis()
    figure.legend(loc="outside upper center", ncols=len(PHASES))
    return figure


def _bars(run: RunRecord) -> list[tuple[str, np.ndarray]]:
    """Return the labels and lengths of a run's bars: one where rank 0 has all workers."""
    own, slowest = seconds(run, "clock"), seconds(run, "slowest")
    if np.array_equal(own, slowest):
        return [(plain(run.label), own)]
    return [(f"{plain(run.label)}: rank 0", own), (f"{plain(run.label)}: slowest worker", slowest)]
