"""Draw at which bandwidth one bit a coordinate wins, as measured over slow links and as predicted from bits alone.

The job slow-network.toml is run by jobs/slow-network.sh over links that are slow indeed. A file is named after its
links: slow-network-100mbit.h5 as tc writes a rate, slow-network-unshaped.h5, and slow-network-alone.h5 of the one
process, from whose seconds analysis/bandwidth.py predicts. An iteration takes what rank 0's clock says of the least
disturbed repeat; targets, steps and intervals are those of analysis/bits.py. The crossover is where the ratio of the
times to the target, a power of the bandwidth between two rates that were measured, is one.

What `mpisign bench` found over the same links is read from slow-network-100mbit.json where that is beside the file: a
whole round of signs by each exchange, and a dense Allreduce of float32.
"""

import re
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpisign.audit.figures.beyond.bandwidth import crossover, lowest, seconds_at
from mpisign.audit.figures.beyond.bits import Cost, where
from mpisign.audit.figures.figure import above, look, plain, remark
from mpisign.audit.intervals import Interval, estimate_of_known, known_part
from mpisign.config.validation import InputError
from mpisign.storage.trajectory import Trajectory
from mpisign.tools.bench import results_file
from mpisign.tools.bench.rounds import DENSE, WHOLE
from mpisign.tools.bench.timing import Time

UNITS = {"kbit": 1e3, "mbit": 1e6, "gbit": 1e9}
"""Bits a second, by the words of tc."""
_NAME = re.compile(r"slow-network-(?:(?P<word>alone|unshaped)|(?P<rate>[0-9.]+)(?P<unit>[kmg]bit))")


class OverLinks(NamedTuple):
    """The costs of each method over links of one bandwidth.

    Attributes:
        bandwidth: Bits a second; infinite for unshaped links, 0 for the one process.
        rounds: What the benchmark timed over them.
        target: The lowest gap that every method reaches.
        row: Costs by method.
        dense: The name of dense SGD.
    """

    bandwidth: float
    rounds: list[Time]
    target: float
    row: dict[str, Cost]
    dense: str

    def ratio(self, name: str) -> np.ndarray:
        """Return the time to the target of dense SGD over that of a method, NaN where one does not reach it.

        Returns:
            Ratios, shape (resamples,).
        """
        ratio: np.ndarray = np.full_like(self.row[name].seconds, np.nan)
        one, other = self.row[name].seconds, self.row[self.dense].seconds
        np.divide(other, one, out=ratio, where=np.isfinite(one) & np.isfinite(other))
        return ratio


class Sweep(NamedTuple):
    """The same job at several rates, increasing, and in one process."""

    alone: OverLinks
    linked: list[OverLinks]

    @property
    def shaped(self) -> list[OverLinks]:
        """Return the costs over links of a known bandwidth."""
        return [each for each in self.linked if np.isfinite(each.bandwidth)]


def measured(trajectory: Trajectory) -> OverLinks:
    """Return the costs of one file; the bandwidth of the one process is 0.

    Raises:
        InputError: If the file's name tells no rate.
    """
    found = _NAME.fullmatch(trajectory.path.stem)
    if not found:
        raise InputError(str(trajectory.path), "expected a name such as slow-network-100mbit.h5, -unshaped or -alone")
    word, rate, unit = found["word"], found["rate"], found["unit"]
    bandwidth = {"alone": 0.0, "unshaped": np.inf}[word] if word else float(rate) * UNITS[unit]
    beside = trajectory.path.with_suffix(".json")
    return OverLinks(bandwidth, results_file.read(beside).times if beside.exists() else [], *lowest(trajectory))


def sweep(*trajectories: Trajectory) -> Sweep:
    """Return all files together.

    Raises:
        InputError: If they are not the same trajectories, or too few.
    """
    alone, *linked = sorted((measured(each) for each in trajectories), key=lambda each: each.bandwidth)
    made = Sweep(alone, linked)
    if alone.bandwidth != 0 or len(made.shaped) < 2:
        raise InputError(str(trajectories[0].path), "expected slow-network-alone.h5 too, and at least two rates")
    for trajectory in trajectories:
        if ends(trajectory) != ends(trajectories[0]):
            raise InputError(str(trajectory.path), f"expected the trajectories of {trajectories[0].path}, bit for bit")
    return made


def ends(trajectory: Trajectory) -> list[str]:
    """Return the sha256 of the last x of every repeat."""
    return [repeat.sha256 for run in trajectory for repeat in run.repeats]


def crossing(rates: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """Return the highest rate at which a ratio that falls with the rate is 1.

    Args:
        rates: Increasing, shape (rates,).
        ratios: Shape (rates, resamples).

    Returns:
        Rates, shape (resamples,). Infinite: above 1 at the last rate; 0: below 1 at all of them; NaN: a ratio is NaN.
    """
    found = np.zeros(ratios.shape[1])
    logs, places = np.log(ratios), np.log(rates)
    found[np.isnan(logs).any(axis=0)] = np.nan
    for i in range(len(rates) - 1):
        crosses = (logs[i] > 0) & (logs[i + 1] <= 0)
        # the ratio is a power of the rate between two rates, so that its logarithm is interpolated
        share = logs[i][crosses] / (logs[i] - logs[i + 1])[crosses]
        found[crosses] = np.exp(places[i] + share * (places[i + 1] - places[i]))
    found[logs[-1] > 0] = np.inf
    return found


def measured_crossover(made: Sweep, name: str) -> np.ndarray:
    """Return the bandwidth below which `name` is faster than dense SGD, shape (resamples,)."""
    return crossing(
        np.array([each.bandwidth for each in made.shaped]), np.array([each.ratio(name) for each in made.shaped])
    )


def findings(*trajectories: Trajectory) -> list[str]:
    """Return a line for each method and rate, and its crossovers."""
    made = sweep(*trajectories)
    lines = [
        f"{where(trajectories[0])}: over {len(made.linked)} kinds of links the trajectories are those of one process"
    ]
    lines += [line for each in made.linked for line in rounds_of(each)]
    for name in made.alone.row:
        if name != made.alone.dense:
            lines += [against_dense(each, name) for each in made.linked] + [crossovers(made, name)]
    return lines


def links(each: OverLinks) -> str:
    """Describe a bandwidth in words."""
    return f"{each.bandwidth / 1e6:g} Mbit/s" if np.isfinite(each.bandwidth) else "unshaped"


def curves(each: OverLinks) -> dict[tuple[str, int], np.ndarray]:
    """Return seconds of a dense Allreduce and of a round by each exchange, slice by slice, by name and d."""
    return {
        (time.exchange or "Allreduce", time.dimension): np.array(time.seconds)
        for time in each.rounds
        if time.what in (WHOLE, DENSE[0])
    }


def rounds_of(each: OverLinks) -> list[str]:
    """Return a line for each d that the benchmark has timed; ratios are medians over the slices."""
    found, lines = curves(each), []
    for d in sorted({d for _, d in found}):
        dense = found["Allreduce", d]
        ratios = {name: np.median(dense / taken) for (name, other), taken in found.items() if other == d}
        words = ", ".join(f"{name} {ratio:.3g}" for name, ratio in ratios.items() if name != "Allreduce")
        what = f"Allreduce of float32, d = {d}, {np.median(dense) * 1e3:.3g} ms"
        lines.append(f"{links(each)}: {what}; over a round of signs, {words}")
    return lines


def against_dense(each: OverLinks, name: str) -> str:
    """Describe both times of a method at one rate, and how many times as long dense SGD takes."""
    row, dense = each.row, each.dense
    one, other = row[name].pace, row[dense].pace
    return (
        f"{links(each)}: an iteration of {dense} {other * 1e3:.3g} ms, of {name} {one * 1e3:.3g} ms, "
        f"ratio {other / one:.3g}; "
        f"to a gap of {each.target:g} {row[dense].seconds[0]:.3g} s and {row[name].seconds[0]:.3g} s, "
        f"ratio {in_words(each.ratio(name))}"
    )


def crossovers(made: Sweep, name: str) -> str:
    """Describe the measured crossover and the predicted ones, with the seconds of one process and of unshaped links."""
    dense, fastest = made.alone.dense, made.linked[-1]
    text = f"{name} is faster than {dense} {below(measured_crossover(made, name), 'rate measured')}, measured; "
    text += f"predicted from bits {mbit(crossover(made.alone.row[name], made.alone.row[dense]))}"
    if np.isinf(fastest.bandwidth):
        text += f", with the seconds of unshaped links {mbit(crossover(fastest.row[name], fastest.row[dense]))}"
    return text


def below(resampled: np.ndarray, rate: str) -> str:
    """Describe a crossover in words, where it is among the bandwidths; `rate` is what the others are called."""
    if np.isnan(resampled[0]):
        return f"at no {rate}, or only above some"
    words = {0.0: f"at no {rate}: ", np.inf: f"at every {rate}: "}.get(resampled[0], "below ")
    return f"{words}{in_words(resampled / 1e6, ' Mbit/s')}"


def in_words(resampled: np.ndarray, unit: str = "") -> str:
    """Describe an estimate with its interval, and with the part of resamples that have one, if that is small."""
    part = known_part(resampled)
    return f"{known(resampled)}{unit}" + ("" if part > 0.95 else f" (in {part:.0%} of the resamples)")


def known(resampled: np.ndarray) -> Interval:
    """Return the estimate from all that is not NaN; NaN where the repeats as they are have no value."""
    return estimate_of_known(resampled, least=0) or Interval(np.nan, np.nan, np.nan)


def mbit(resampled: np.ndarray) -> str:
    """Describe a predicted crossover."""
    return below(resampled, "bandwidth").removeprefix("below ")


def draw(*trajectories: Trajectory) -> Figure:
    """Draw the time an iteration, and the time to the target with the crossovers."""
    made = sweep(*trajectories)
    timed = max((d for each in made.shaped for _, d in curves(each)), default=0)
    figure, (left, right, *more) = plt.subplots(1, 2 + bool(timed), figsize=(13.2 if timed else 9.6, 4.4))
    for axes in more:
        draw_rounds(axes, made, timed)
    for number, (name, each) in enumerate(made.alone.row.items()):
        count = each.iterations[0]
        draw_times(left, made, number, np.array([over.row[name].pace for over in made.linked]) * 1e3, 1e3 / count)
        draw_times(right, made, number, np.array([over.row[name].seconds[0] for over in made.linked]), 1.0)
        if name != made.alone.dense:
            draw_crossovers(right, made, name)
    left.set(ylabel="milliseconds an iteration")
    right.set(ylabel=f"seconds to a gap of {made.alone.target:g}")
    above(left)
    above(right, ncols=2)
    remark(figure, f"{where(trajectories[0])}. Thin: one process's seconds, and the bits through the server's link.")
    return figure


def draw_times(axes: Axes, made: Sweep, number: int, values: np.ndarray, unit: float) -> None:
    """Draw what was measured of the method of this number, and what is predicted, thin, times `unit`."""
    name, count, style = list(made.alone.row)[number], len(made.shaped), look(number)
    x = np.array([each.bandwidth for each in made.shaped]) / 1e6
    unshaped = 5 * x[-1]
    axes.plot(x, values[:count], marker="o", ms=4, label=plain(name), **style)
    axes.plot(np.full(len(values) - count, unshaped), values[count:], "D", ms=5, color=style["color"])
    smooth = np.geomspace(x[0], unshaped, 200)
    axes.plot(smooth, seconds_at(made.alone.row[name], smooth * 1e6) * unit, color=style["color"], lw=0.7, ls="-")
    axes.set(xscale="log", yscale="log", xlabel="bandwidth of every link, Mbit/s (diamonds: unshaped)")


def draw_rounds(axes: Axes, made: Sweep, dimension: int) -> None:
    """Draw the median times of a round at one d, where they were timed."""
    names = {name for each in made.shaped for name, d in curves(each) if d == dimension}
    for number, name in enumerate(sorted(names)):
        points = [(each.bandwidth / 1e6, curves(each).get((name, dimension))) for each in made.shaped]
        x, taken = zip(*(point for point in points if point[1] is not None), strict=True)
        label = "dense, Allreduce of float32" if name == "Allreduce" else f"signs, {name}"
        axes.plot(x, [np.median(each) * 1e3 for each in taken], marker="o", ms=4, label=label, **look(number))
    axes.set(xscale="log", yscale="log", xlabel="bandwidth of every link, Mbit/s")
    axes.set(ylabel=f"milliseconds a round, d = {dimension:,}")
    above(axes, ncols=2)


def draw_crossovers(axes: Axes, made: Sweep, name: str) -> None:
    """Draw a line where dense SGD becomes faster, in a band for its interval; a dotted one where that is predicted."""
    found = known(measured_crossover(made, name) / 1e6)
    predicted = crossover(made.alone.row[name], made.alone.row[made.alone.dense])[0] / 1e6
    for place, style, word in ((found.value, "-", "measured"), (predicted, ":", "predicted")):
        if 0 < place < np.inf:
            axes.axvline(place, color="0.3", lw=1, ls=style, label=f"crossover, {word}: {place:,.0f} Mbit/s")
    if found.low > 0 and found.high < np.inf:
        axes.axvspan(found.low, found.high, color="0.88", zorder=0)
