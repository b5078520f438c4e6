"""Draw the bytes of a round on the link of rank 0 against M, as counted among many hosts, over the cost model's lines.

What is counted are the messages of one round by each exchange, and a dense Allreduce, with headers, by
`mpisign bench --only links` under jobs/many-hosts.sh. A file is named after its hosts, the ranks of each and the links:
many-hosts-16x4-5mbit.json. The model (`mpisign.tools.bench.collectives`) counts payload alone; nothing in it is fitted.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpisign.aggregation.bitplanes import words
from mpisign.audit.figures.beyond.network import UNITS
from mpisign.audit.figures.figure import above, look, parser_of, remark, report, save, status_of
from mpisign.config.validation import InputError
from mpisign.tools.bench import results_file
from mpisign.tools.bench.collectives import Load, Network, allreduce, loads
from mpisign.tools.bench.timing import Traffic

_NAME = re.compile(r"many-hosts-(?P<hosts>\d+)x(?P<each>\d+)-(?P<rate>[0-9.]+)(?P<unit>[kmg]bit)")
_LABELS = {
    "server": "signs, server",
    "sharded": "signs, sharded",
    "node": "signs, node",
    "": "dense, Allreduce of float32",
}
_SEGMENT, _PACKET = 1448, 1514
"""Bytes of a TCP segment's data, and of all of it, by Ethernet with an MTU of 1500."""


class Measured(NamedTuple):
    """A count, and what it was counted over.

    Attributes:
        traffic: The count.
        network: The network of its hosts, of which the bandwidth is known, and that of payload.
    """

    traffic: Traffic
    network: Network

    @property
    def several(self) -> bool:
        """Return whether there are several ranks on a host."""
        return self.traffic.ranks > len(self.traffic.sent)

    @property
    def counted(self) -> float:
        """Return the bytes on the link of rank 0, either way."""
        return self.traffic.sent[0] + self.traffic.received[0]

    @property
    def modelled(self) -> list[Load]:
        """Return the model's loads."""
        hosts = len(self.traffic.sent)
        return payload(self.network, self.traffic.exchange, self.traffic.ranks, self.traffic.dimension, hosts)


def payload(net: Network, exchange: str, ranks: int, dimension: int, hosts: int) -> list[Load]:
    """Return the model's loads; "" is the dense Allreduce. With a rank a host, "node" has all ballots in one plane."""
    if not exchange:
        return [allreduce(net, ranks, 4.0 * dimension)]
    plane = 8.0 * words(dimension)
    return loads(net, exchange, ranks, plane, plane, hosts)


def both_ways(found: list[Load]) -> float:
    """Return the bytes of loads, sent and received."""
    return sum(load.sent + load.received for load in found)


def read(path: Path) -> list[Measured]:
    """Read the counts of one file.

    Raises:
        InputError: If its name tells no rate, or it has no counts.
    """
    name = _NAME.fullmatch(path.stem)
    if not name:
        raise InputError(str(path), "expected a name such as many-hosts-16x4-5mbit.json")
    traffic = results_file.read(path).traffic
    if not traffic:
        raise InputError(str(path), "expected what `mpisign bench --only links` counted")
    bandwidth = float(name["rate"]) * UNITS[name["unit"]] / 8 * _SEGMENT / _PACKET
    return [Measured(each, Network(1e-4, bandwidth, math.inf, 1e-4)) for each in traffic]


def findings(measured: list[Measured]) -> Iterator[str]:
    """Yield a line for each count: its headers, and its time beside the model's."""
    for each in sorted(measured, key=lambda m: (m.traffic.exchange, m.traffic.ranks)):
        if each.several and each.traffic.exchange != "node":
            continue  # the model takes each rank to have a link of its own
        found, traffic, model = each.counted, each.traffic, both_ways(each.modelled)
        seconds, predicted = min(traffic.seconds), sum(load.seconds(each.network) for load in each.modelled)
        where = f"{traffic.ranks} ranks on {len(traffic.sent)} hosts, d = {traffic.dimension}"
        yield (
            f"{_LABELS[traffic.exchange]}, {where}: "
            f"{found:.0f} bytes, payload by the model {model:.0f}, {found / model - 1:+.1%}; "
            f"{seconds:.3g} s, by the model {predicted:.3g}, predicted / measured {predicted / seconds:.2f}"
        )


def draw(measured: list[Measured]) -> Figure:
    """Draw bytes a link against M, divided by those of a plane."""
    figure, axes = plt.subplots(figsize=(7.2, 4.8))
    network = measured[0].network
    workers = np.unique(np.geomspace(3, 127, 60).round().astype(int))
    for number, exchange in enumerate(("server", "sharded", "")):
        style, name = look(number), _LABELS[exchange]
        d = max(each.traffic.dimension for each in measured)
        unit = 8.0 * words(d)
        model = [both_ways(payload(network, exchange, int(m) + 1, d, int(m) + 1)) / unit for m in workers]
        axes.plot(workers, model, lw=1, **style)
        points = [each for each in measured if each.traffic.exchange == exchange and not each.several]
        _mark(axes, points, color=style["color"], marker="o", label=name)
    points = [each for each in measured if each.traffic.exchange == "node" and each.several]
    if points:
        hosts, ranks = len(points[0].traffic.sent), points[0].traffic.ranks
        _mark(axes, points, color="C4", marker="D", label=f"signs, node, {ranks // hosts} ranks a host")
        model = [both_ways(each.modelled) / (8.0 * words(each.traffic.dimension)) for each in points]
        axes.plot([each.traffic.ranks - 1 for each in points], model, "_", ms=16, color="C4")
    axes.set(xscale="log", yscale="log", xlabel="workers M", ylabel="bytes a round on rank 0's link / bytes of a plane")
    axes.set_xticks([3, 7, 15, 31, 63, 127], ["3", "7", "15", "31", "63", "127"])
    axes.minorticks_off()
    above(axes, ncols=2)
    remark(figure, "Points: counted by the kernel, sent and received, with headers. Lines: payload by the model.")
    return figure


def _mark(axes: Axes, points: list[Measured], **style: Any) -> None:
    """Draw counts as points; hollow where d is not the least."""
    least = min((each.traffic.dimension for each in points), default=0)
    for d in sorted({each.traffic.dimension for each in points}):
        these = [each for each in points if each.traffic.dimension == d]
        x, y = [each.traffic.ranks - 1 for each in these], [each.counted / (8.0 * words(d)) for each in these]
        label = style["label"] if d == least else f"{style['label']}, d = {d:,}"
        axes.plot(x, y, ls="", ms=5, mfc=style["color"] if d == least else "none", **style | {"label": label})


def main(documentation: str | None) -> int:
    """Run the command; return its exit status: 0, or 2 for bad input."""
    parser = parser_of(documentation)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE.json", help="what jobs/many-hosts.sh counted")
    options = parser.parse_args()

    def draw_and_print() -> None:
        measured = [each for path in options.files for each in read(path)]
        report(*findings(measured))
        save(draw(measured), options.output / "many-hosts")

    return status_of(draw_and_print, options.output)
