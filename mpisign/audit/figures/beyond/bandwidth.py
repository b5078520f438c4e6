"""Draw at which bandwidth one bit a coordinate wins: the time to the lowest target that every method reaches.

time = iterations * seconds an iteration + bits / bandwidth. Seconds are measured in one process, where the workers
compute one after another and messages cost nothing: the least over the repeats, where least disturbed. Bits go through
one link, the server's. Steps, targets and intervals are those of analysis/bits.py, with the seconds an iteration taken
as known. Below the crossover a method is faster than dense SGD.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpisign.audit.figures.beyond.bits import Cost, costs, dense, methods, where
from mpisign.audit.figures.figure import look, plain
from mpisign.audit.intervals import estimate_of_known
from mpisign.storage.trajectory import Trajectory

_BANDWIDTHS = np.geomspace(1e5, 1e12, 200)
"""Bandwidths that are drawn, in bits a second."""


def seconds_at(each: Cost, bandwidth: np.ndarray) -> np.ndarray:
    """Return the time to the target at each bandwidth, for the repeats as they are."""
    time: np.ndarray = each.seconds[0] + each.bits[0] / bandwidth
    return time


def crossover(each: Cost, other: Cost) -> np.ndarray:
    """Return the bandwidth below which `each` is faster than `other`: bits saved over seconds lost.

    Returns:
        Bits a second, shape (resamples,). Infinite: faster at every bandwidth. 0: at none. NaN: above some bandwidth
        but not below it, or one does not reach the target.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        saved, lost = other.bits - each.bits, each.seconds - other.seconds
        found = np.where(lost > 0, np.maximum(saved, 0) / lost, np.where(saved >= 0, np.inf, np.nan))
    found[~np.isfinite(saved) | ~np.isfinite(lost)] = np.nan
    return found


def lowest(trajectory: Trajectory) -> tuple[float, dict[str, Cost], str]:
    """Return the lowest target, what each method spends to get there, and which of them is dense SGD."""
    target, row = list(costs(trajectory).items())[-1]
    return target, row, dense(methods(trajectory)) or ""


def findings(trajectory: Trajectory) -> list[str]:
    """Return a line for each method."""
    target, row, reference = lowest(trajectory)
    d = int(row[reference].run.attributes["dimension"])
    dense_bits, sign_bits = 64 * (1 + d), 64 * (1 + -(-d // 64))
    fewer = f"{dense_bits / sign_bits:.1f} times fewer"
    lines = [f"{where(trajectory)}: a dense message has {dense_bits} bits, one of signs {sign_bits}: {fewer}"]
    for name, each in row.items():
        line = f"{where(trajectory)}, gap {target:g}, {name}: {1e6 * each.pace:.0f} microseconds an iteration"
        lines.append(
            line if name == reference else f"{line}; faster than {reference} {below(crossover(each, row[reference]))}"
        )
    return lines


def below(resampled: np.ndarray) -> str:
    """Describe a crossover in words, with its interval; resamples without one are left out, unless they are many."""
    known = estimate_of_known(resampled)
    if known is None:
        return "at no bandwidth, or only above some bandwidth"
    value, low, high = np.array(known) / 1e6
    words = {0.0: "at no bandwidth", np.inf: "at every bandwidth"}.get(float(value), f"below {value:.3g} Mbit/s")
    return f"{words} [{low:.3g}, {high:.3g}]"


def draw(*trajectories: Trajectory) -> Figure:
    """Draw a panel for each file."""
    figure, axes = plt.subplots(1, len(trajectories), figsize=(max(4.8 * len(trajectories), 5.6), 4.6), squeeze=False)
    for axes_, trajectory in zip(axes[0], trajectories, strict=True):
        draw_times(trajectory, axes_)
    axes[0, 0].set_ylabel("seconds to the target")
    return figure


def draw_times(trajectory: Trajectory, axes: Axes) -> None:
    """Draw time against bandwidth, with a mark at each crossing of dense SGD."""
    target, row, reference = lowest(trajectory)
    for number, (name, each) in enumerate(row.items()):
        axes.plot(_BANDWIDTHS / 1e6, seconds_at(each, _BANDWIDTHS), label=plain(name), **look(number))
        if name != reference:
            found = crossover(each, row[reference])
            if np.isfinite(found[0]) and found[0] > 0:
                time = seconds_at(each, found[:1])
                axes.plot(found[:1] / 1e6, time, "o", color=look(number)["color"], ms=5, zorder=3)
    axes.set(xscale="log", yscale="log", xlabel="bandwidth of the server's link, Mbit/s")
    axes.set_title(f"{where(trajectory)}, to a gap of {target:g}", loc="left")
    axes.legend(fontsize=8, loc="upper right", handlelength=3)
