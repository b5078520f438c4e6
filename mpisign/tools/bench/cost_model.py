"""Model what a round costs, by latency, bandwidth and memory, fitted to times that `mpisign bench` measured.

A message of b bytes takes latency + b / bandwidth, and a rank's link carries one at a time each way. What collectives
cost then is the textbook's (Thakur, Rabenseifner, Gropp, Int. J. High Perform. Comput. Appl. 19, 2005): of the
algorithms that MPIs choose from, the cheaper one. Computing, which is packing and applying over d and voting over all
ballots, is read off measured curves, and drawn out in proportion beyond them.
"""

import math
import statistics
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from mpisign.aggregation.bitplanes import words
from mpisign.aggregation.node_exchange import SHARED_X_FROM
from mpisign.arrays import Floats
from mpisign.tools.bench.timing import Time


class Network(NamedTuple):
    """What a rank's link and memory do.

    Attributes:
        latency: Seconds a message.
        bandwidth: Bytes a second of a rank's link, each way.
        adding: Bytes a second that a rank adds in a dense sum.
        flag: Seconds until one rank of a node sees what another has written.
        switch: Seconds that a message takes longer where ranks wait for each other's cores.
        late: Seconds that a flag takes longer there.
    """

    latency: float
    bandwidth: float
    adding: float
    flag: float
    switch: float = 0.0
    late: float = 0.0

    def shared(self, turns: float) -> "Network":
        """Return the network where each core serves so many ranks in turns: it carries their messages, too."""
        if turns <= 1:
            return self
        bandwidth, adding = self.bandwidth / turns, self.adding / turns
        return Network(self.latency + self.switch, bandwidth, adding, self.flag + self.late)


class Curve(NamedTuple):
    """Seconds over a size, both increasing.

    They are straight between measured points in logarithms, constant below them, in proportion above.

    Attributes:
        sizes: Measured sizes, shape (m,).
        seconds: Measured seconds, shape (m,).
    """

    sizes: Floats
    seconds: Floats

    def at(self, size: float) -> float:
        """Return the seconds at a size."""
        inside = np.exp(np.interp(np.log(size), np.log(self.sizes), np.log(self.seconds)))
        return float(inside * max(size / self.sizes[-1], 1.0))


class Machine(NamedTuple):
    """A network, and the computing of one rank.

    Attributes:
        network: The network.
        pack: Seconds of packing over d.
        apply: Seconds of applying a vote over d.
        vote: Seconds of a vote over the words of all ballots.
        cores: Cores that the ranks share; math.inf if each has one of its own, as on a cluster.
    """

    network: Network
    pack: Curve
    apply: Curve
    vote: Curve
    cores: float


def gather(net: Network, ranks: int, size: float) -> float:
    """Return the seconds of `size` bytes of each rank to the root, whose link carries all of them."""
    return _stages(ranks) * net.latency + (ranks - 1) * size / net.bandwidth


def broadcast(net: Network, ranks: int, size: float) -> float:
    """Return the seconds of `size` bytes of the root to all: down a tree, or scattered and gathered by all."""
    tree = _stages(ranks) * (net.latency + size / net.bandwidth)
    scattered = (_stages(ranks) + ranks - 1) * net.latency + 2 * (ranks - 1) / ranks * size / net.bandwidth
    return min(tree, scattered)


def alltoall(net: Network, ranks: int, size: float) -> float:
    """Return the seconds of `size` bytes of each rank, a part to each.

    It goes in pairs, or in stages that carry half of it each (Bruck).
    """
    pairs = (ranks - 1) * net.latency + (ranks - 1) / ranks * size / net.bandwidth
    return min(pairs, _stages(ranks) * (net.latency + size / 2 / net.bandwidth))


def allgather(net: Network, ranks: int, size: float) -> float:
    """Return the seconds of a part of each rank to all, `size` bytes together."""
    return _stages(ranks) * net.latency + (ranks - 1) / ranks * size / net.bandwidth


def allreduce(net: Network, ranks: int, size: float) -> float:
    """Return the seconds of a sum of `size` bytes a rank.

    It goes by doubling, or by scattered sums that are gathered by all (Rabenseifner).
    """
    doubling = _stages(ranks) * (net.latency + size / net.bandwidth + size / net.adding)
    scattered = 2 * _stages(ranks) * net.latency
    scattered += (ranks - 1) / ranks * (2 * size / net.bandwidth + size / net.adding)
    return min(doubling, scattered)


def _stages(ranks: int) -> int:
    """Return the number of stages in which all ranks are reached by doubling."""
    return math.ceil(math.log2(ranks))


def communication(net: Network, exchange: str, ranks: int, up: float, down: float) -> float:
    """Return the seconds that a round's messages take, with a worker on each rank but the first.

    Args:
        net: The network.
        exchange: Name of the exchange; "node": all ranks are on one.
        ranks: Number of ranks.
        up: Bytes of a worker's message, without the number in front.
        down: Bytes of the reply, without the number in front.
    """
    if exchange == "node":
        return ranks * net.flag
    if exchange == "sharded":  # a number in front of each slice, a number and a count around each reply
        return alltoall(net, ranks, up + 8 * ranks) + allgather(net, ranks, down + 16 * ranks)
    return gather(net, ranks, up + 8) + broadcast(net, ranks, down + 8)


def computing(machine: Machine, exchange: str, ranks: int, dimension: int) -> float:
    """Return the seconds of packing, voting and applying, where ranks share cores in turns."""
    turns, workers_turns = (max(1.0, busy / machine.cores) for busy in (ranks, ranks - 1))
    ballots = (ranks - 1) * words(dimension) / (ranks / turns if exchange == "sharded" else 1)
    together = exchange == "node" and dimension >= SHARED_X_FROM  # one x for all of them
    steps = turns / ranks if together else turns
    return workers_turns * machine.pack.at(dimension) + machine.vote.at(ballots) + steps * machine.apply.at(dimension)


def seconds(machine: Machine, what: str, exchange: str, ranks: int, dimension: int) -> float:
    """Return the seconds that the model gives for a time of `mpisign.tools.bench.rounds`.

    Args:
        machine: The machine.
        what: Name of the time there, except "round with ties".
        exchange: Name of the exchange.
        ranks: Number of ranks.
        dimension: Number of coordinates d.

    Raises:
        KeyError: If the model does not cover `what`.
    """
    net, plane = machine.network.shared(ranks / machine.cores), 8.0 * words(dimension)
    if what == "round":
        return communication(net, exchange, ranks, plane, plane) + computing(machine, exchange, ranks, dimension)
    return {
        "collectives": lambda: communication(net, exchange, ranks, plane, plane),
        "allreduce float32": lambda: allreduce(net, ranks, 4.0 * dimension),
        "allreduce float64": lambda: allreduce(net, ranks, 8.0 * dimension),
        "gather int8": lambda: gather(net, ranks, 1.0 * dimension) + broadcast(net, ranks, 1.0 * dimension),
    }[what]()


FITTED = {("collectives", "server"), ("collectives", "sharded"), ("allreduce float32", "")}
"""What the network is fitted to, besides its flags; everything else is predicted."""


_LACKS = "expected what a whole mpisign bench measures; this file has no {}"


def fit(times: Iterable[Time], cores: float) -> Machine:
    """Fit a machine to times, by least squares of the logarithms, with less weight on outliers.

    Args:
        times: Those of `kernels.curves` and `rounds.on_ranks`.
        cores: Cores of the machine.

    Raises:
        ValueError: If some times are missing.
    """
    times = list(times)
    used = [time for time in times if (time.what, time.exchange) in FITTED]
    pack, apply, vote = (_curve(times, what) for what in ("pack", "apply", "vote"))
    flag, late = _flags(times, cores)
    if len(used) < 4:
        raise ValueError(_LACKS.format("rounds"))
    logs = np.log([time.median for time in used])

    def machine(logarithms: Floats) -> Machine:
        latency, bandwidth, adding, switch = (float(value) for value in np.exp(logarithms))
        return Machine(Network(latency, bandwidth, adding, flag, switch, late), pack, apply, vote, cores)

    def residuals(logarithms: Floats) -> Floats:
        made = machine(logarithms)
        return np.log([seconds(made, time.what, time.exchange, time.ranks, time.dimension) for time in used]) - logs

    # logarithms keep parameters positive; soft_l1 lets a few disturbed times count for less
    return machine(least_squares(residuals, np.log([1e-6, 1e9, 1e9, 1e-6]), loss="soft_l1").x)


def _flags(times: list[Time], cores: float) -> tuple[float, float]:
    """Return the seconds of a flag, and what it takes longer on shared cores."""
    found = [time for time in times if (time.what, time.exchange) == ("collectives", "node")]
    own, shared = ([t.median / t.ranks for t in found if (t.ranks > cores) == late] for late in (False, True))
    if not found:
        raise ValueError(_LACKS.format("rounds"))
    flag = statistics.median(own or shared)
    return flag, max(statistics.median(shared or own) - flag, 0.0)


def _curve(times: list[Time], what: str) -> Curve:
    """Return the curve of packing or applying over d, or of a vote over the words of its ballots."""
    measured = sorted((time for time in times if time.what == what), key=lambda t: t.dimension)
    if not measured:
        raise ValueError(_LACKS.format(f"curve of {what}"))
    sizes = [time.ranks * words(time.dimension) if what == "vote" else time.dimension for time in measured]
    return Curve(np.array(sizes, dtype=float), np.array([time.median for time in measured]))
