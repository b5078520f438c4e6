"""Draw rounds against dense collectives over d, the cost model beside them, and its prediction for up to 4096 workers.

The model (`mpisign.tools.bench.cost_model`) knows latency, bandwidth and the curves of computing; latency and bandwidth
are fitted to the messages of the server's and the sharded exchange and to Allreduce of float32. Everything else is
predicted, and its error is printed. On a cluster, as predicted, a rank has a core and a link of its own, as fast as
those measured.

    mpisign bench -o results/bench.json
    python analysis/speed.py results/bench.json -o figures
    python analysis/speed.py results/bench.json -o figures --readme docs/audit/found.md      writes its table there, too
"""

import math
import statistics
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpisign.audit.figures.figure import parser_of, report, save, status_of
from mpisign.config.validation import InputError
from mpisign.tools.bench import results_file
from mpisign.tools.bench.cost_model import FITTED, Machine, fit, seconds
from mpisign.tools.bench.results_file import Record
from mpisign.tools.bench.timing import Ratio, Time

_MARKS = "<!-- mpisign bench: begin -->", "<!-- mpisign bench: end -->"
_WHATS = {
    ("round", "server"): ("scaled signSGD's round, server", "C0", "-"),
    ("round", "sharded"): ("the same, sharded", "C1", "--"),
    ("round", "node"): ("the same, node", "C2", ":"),
    ("allreduce float32", ""): ("Allreduce of float32", "C3", "-"),
    ("allreduce float64", ""): ("Allreduce of float64", "C4", "--"),
    ("gather int8", ""): ("signs a byte each", "C5", "-."),
}
"""What is drawn, by (what, exchange): its label, colour and dashes."""


def predicted(machine: Machine, time: Time) -> float:
    """Return the model's seconds for a measured time."""
    return seconds(machine, time.what, time.exchange, time.ranks, time.dimension)


def modelled(found: Record) -> list[Time]:
    """Return the times that the model covers, fitted or not."""
    whats = {what for what, _ in FITTED} | {what for what, _ in _WHATS}
    return [time for time in found.times if time.what in whats]


def findings(found: Record, machine: Machine) -> Iterator[str]:
    """Yield the model's parameters, and its error on what it was fitted to and on what it predicts."""
    net = machine.network
    yield f"latency {1e6 * net.latency:.3g} us, bandwidth {net.bandwidth / 1e9:.3g} GB/s, flag {1e6 * net.flag:.3g} us"
    yield f"sums {net.adding / 1e9:.3g} GB/s; on shared cores a message takes {1e6 * net.switch:.3g} us longer"
    for what, exchange in [*sorted(FITTED), *(key for key in _WHATS if key not in FITTED)]:
        off = [predicted(machine, t) / t.median for t in modelled(found) if (t.what, t.exchange) == (what, exchange)]
        if off:
            how = "fitted" if (what, exchange) in FITTED else "predicted"
            low, middle, high = min(off), statistics.median(off), max(off)
            name = f"{what}, {exchange}" if exchange else what
            yield f"{name}, {how} / measured: {middle:.2f} [{low:.2f}, {high:.2f}] over {len(off)} points"
    memory = machine.memory
    yield f"memory that ranks share {memory.bandwidth / 1e9:.3g} GB/s, behind a cache of {memory.cache / 1e6:.3g} MB"
    for d in (10**6, 10**9):
        yield f"d = {d:.0e}, {_overtaken(on_cluster(machine), d)}"
    yield from forecasts(found, machine)


def on_cluster(machine: Machine, node: int = 1) -> Machine:
    """Return the machine where each rank has a core and a link of its own, and so many of them share a memory."""
    return machine._replace(cores=math.inf, node=node)


def forecasts(found: Record, machine: Machine) -> Iterator[str]:
    """Yield what is predicted at M = 4096, with a range, as a table in Markdown.

    The range is by what 80 % of the measured times differed from the model's; it says nothing of what no point has
    tried, such as a switch that is too small for all links together.
    """
    yield "| predicted, M = 4096 | d | one rank a node | 16 ranks a node |"
    yield "|---|---|---|---|"
    for what, exchange in (("round", "server"), ("round", "sharded"), ("allreduce float32", "")):
        off = [t.median / predicted(machine, t) for t in modelled(found) if (t.what, t.exchange) == (what, exchange)]
        low, high = np.quantile(off, [0.1, 0.9]) if off else (math.nan, math.nan)
        for d in (10**6, 10**9):
            times = [seconds(on_cluster(machine, node), what, exchange, 4097, d) for node in (1, 16)]
            cells = (f"{each:.2g} s [{low * each:.2g}, {high * each:.2g}]" for each in times)
            yield f"| {exchange or what} | {d:.0e} | {' | '.join(cells)} |"


def _overtaken(cluster: Machine, d: int) -> str:
    """Describe from which M on the sharded exchange is the faster one, as predicted."""
    for workers in range(1, 4097):
        times = [seconds(cluster, "round", name, workers + 1, d) for name in ("sharded", "server")]
        if times[0] < times[1]:
            return f"the sharded round is predicted to be faster from M = {workers} on"
    return "the server's round is predicted to be faster up to M = 4096"


def draw(found: Record, machine: Machine) -> Figure:
    """Draw four panels: times, ratios, predictions, errors."""
    figure, axes = plt.subplots(2, 2, figsize=(11, 8.6))
    draw_times(found, machine, axes[0, 0])
    draw_gains(found, axes[0, 1])
    draw_predictions(machine, axes[1, 0])
    draw_errors(found, machine, axes[1, 1])
    return figure


def draw_times(found: Record, machine: Machine, axes: Axes) -> None:
    """Draw measured points over d on the most ranks, with the model as thin lines."""
    ranks = max(time.ranks for time in modelled(found))
    for (what, exchange), (label, color, _) in _WHATS.items():
        times = [t for t in found.times if (t.what, t.exchange, t.ranks) == (what, exchange, ranks)]
        ds = [time.dimension for time in times]
        axes.plot(ds, [time.median for time in times], "o", color=color, ms=4, label=label)
        axes.plot(ds, [predicted(machine, time) for time in times], color=color, lw=0.8)
    axes.set(xscale="log", yscale="log", xlabel="coordinates d", ylabel="seconds a round")
    axes.set_title(f"{ranks} ranks, {found.machine['cores']} cores; lines: the model", loc="left")
    axes.legend(fontsize=7.5)


def draw_gains(found: Record, axes: Axes) -> None:
    """Draw how many times faster than Allreduce of float32 the whole round is, and its messages alone."""
    for ranks, marker in zip(sorted({time.ranks for time in modelled(found)}), "osD^", strict=False):
        by = {(t.what, t.exchange, t.dimension): t.median for t in found.times if t.ranks == ranks}
        for number, (what, exchange) in enumerate([("round", "server"), ("round", "node"), ("collectives", "server")]):
            ds = sorted(d for w, e, d in by if (w, e) == (what, exchange))
            gains = [by["allreduce float32", "", d] / by[what, exchange, d] for d in ds]
            name = f"{exchange}: {'messages alone' if what == 'collectives' else 'the round'}, {ranks} ranks"
            axes.plot(ds, gains, marker=marker, ms=4, color=f"C{number}", ls="-" if ranks == 2 else "--", label=name)
    axes.axhline(1, color="0.6", lw=0.8)
    axes.set(xscale="log", yscale="log", xlabel="coordinates d", ylabel="time of Allreduce / time of this")
    axes.set_title("Times faster than a dense sum", loc="left")
    axes.legend(fontsize=7.5)


def draw_predictions(machine: Machine, axes: Axes) -> None:
    """Draw predicted seconds over M, on a cluster of such ranks."""
    cluster, workers = on_cluster(machine), np.unique(np.geomspace(1, 4096, 60).astype(int))
    for d, width in ((10**6, 1.0), (10**9, 2.2)):
        for what, exchange in (("round", "server"), ("round", "sharded"), ("allreduce float32", "")):
            label, color, style = exchange or "Allreduce of float32", *_WHATS[what, exchange][1:]
            times = [seconds(cluster, what, exchange, int(m) + 1, d) for m in workers]
            axes.plot(workers, times, color=color, ls=style, lw=width, label=f"{label}, d = $10^{int(math.log10(d))}$")
    axes.set(
        xscale="log", yscale="log", xlabel="workers M, each with a core and a link", ylabel="seconds a round, predicted"
    )
    axes.set_ylim(top=100 * axes.get_ylim()[1])  # room for the legend
    axes.set_title("What the model predicts", loc="left")
    axes.legend(fontsize=7.5, ncols=2, loc="upper left")


def draw_errors(found: Record, machine: Machine, axes: Axes) -> None:
    """Draw predicted over measured, for every point that the model was not fitted to."""
    for (what, exchange), (label, color, _) in _WHATS.items():
        if (what, exchange) not in FITTED:
            times = [time for time in found.times if (time.what, time.exchange) == (what, exchange)]
            off = [predicted(machine, time) / time.median for time in times]
            axes.plot([time.dimension for time in times], off, "o", ms=4, color=color, label=label)
    axes.axhspan(0.5, 2, color="0.93", zorder=0)
    axes.axhline(1, color="0.6", lw=0.8)
    axes.set(xscale="log", yscale="log", xlabel="coordinates d", ylabel="predicted / measured")
    axes.set_ylim(bottom=axes.get_ylim()[0] / 2)  # room for the legend
    axes.set_title("The model's error where it was not fitted; grey: a factor of 2", loc="left")
    axes.legend(fontsize=7.5, ncols=2, loc="lower left")


def table(ratios: list[Ratio]) -> str:
    """Return the ratios that have a goal, as Markdown."""
    rows = (f"| {r.what} | {r.median:.3g} | {r.low:.3g} to {r.high:.3g} | {r.goal} |" for r in ratios if r.goal)
    return "\n".join(["| ratio | median | quartiles | goal |", "|---|---|---|---|", *rows])


def insert(page: Path, between: str) -> None:
    """Replace what is between the marks of a page.

    Raises:
        InputError: If the page has no marks, or cannot be read or written.
    """
    try:
        text = page.read_text()
    except OSError as error:
        raise InputError(str(page), f"cannot read this file: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(str(page), "cannot read this file: it is not UTF-8 text") from None
    head, tail = text.split(_MARKS[0]), text.split(_MARKS[1])
    if len(head) != 2 or len(tail) != 2:
        raise InputError(str(page), f"expected one {_MARKS[0]} and one {_MARKS[1]}")
    try:
        page.write_text(f"{head[0]}{_MARKS[0]}\n{between}\n{_MARKS[1]}{tail[1]}")
    except OSError as error:
        raise InputError(str(page), f"cannot write this file: {error.strerror}") from None


def fitted(found: Record, path: Path) -> Machine:
    """Return the machine that fits a record of the benchmark.

    Raises:
        InputError: If the record has too few times; the error names its file.
    """
    try:
        return fit(found.times, found.machine["cores"])
    except ValueError as error:
        raise InputError(str(path), str(error)) from None


def main(documentation: str | None) -> int:
    """Run the command; return its exit status: 0, or 2 for bad input."""
    parser = parser_of(documentation)
    parser.add_argument("file", type=Path, metavar="BENCH.json", help="what mpisign bench wrote")
    parser.add_argument("--readme", type=Path, metavar="FILE.md", help="write the table of ratios between its marks")
    options = parser.parse_args()

    def draw_and_print() -> None:
        found = results_file.read(options.file)
        machine = fitted(found, options.file)
        if options.readme is not None:
            insert(options.readme, table(found.ratios))
        report(*findings(found, machine))
        save(draw(found, machine), options.output / f"{options.file.stem}-speed")

    return status_of(draw_and_print, options.output)
