"""Model what a round costs, by latency, bandwidth and memory, fitted to times that `mpisign bench` measured.

Messages are those of `mpisign.tools.bench.collectives`. Computing, which is packing and applying over d and voting over
all ballots, is read off measured curves, and drawn out in proportion beyond them. Packing and applying take no less
than their vectors need to come through the memory that the ranks of a node share (a roofline: Williams, Waterman,
Patterson, Commun. ACM 52, 2009).
"""

import math
import statistics
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.optimize import brute, least_squares

from mpisign.aggregation.bitplanes import words
from mpisign.aggregation.node_exchange import SHARED_X_FROM, voted_by_all
from mpisign.aggregation.slices.cut import slices
from mpisign.arrays import Floats
from mpisign.tools.bench.collectives import Network, allreduce, communication
from mpisign.tools.bench.timing import Time


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


class Memory(NamedTuple):
    """What the ranks of a node share.

    Attributes:
        bandwidth: Bytes a second.
        cache: Bytes in front of it; of more bytes in turn, so many are found there.
    """

    bandwidth: float
    cache: float

    def seconds(self, moved: float, held: float) -> float:
        """Return the least seconds of moving bytes, where so many are held and visited in turn."""
        return moved * max(0.0, 1.0 - self.cache / held) / self.bandwidth


OWN = Memory(math.inf, 0.0)
"""A memory that nobody waits for."""


class Machine(NamedTuple):
    """A network, and the computing of one rank.

    Attributes:
        network: The network.
        pack: Seconds of packing over d.
        apply: Seconds of applying a vote over d.
        vote: Seconds of a vote over the words of all ballots.
        cores: Cores that the ranks share; math.inf if each has one of its own, as on a cluster.
        memory: The memory of a node.
        node: Ranks of a node; math.inf if all are on one.
    """

    network: Network
    pack: Curve
    apply: Curve
    vote: Curve
    cores: float
    memory: Memory = OWN
    node: float = math.inf


def computing(machine: Machine, exchange: str, ranks: int, dimension: int) -> float:
    """Return the seconds of packing, voting and applying, where ranks share cores in turns, and memory."""
    # whole turns: in a round all wait for the last one
    turns, workers_turns = (max(1.0, math.ceil(busy / machine.cores)) for busy in (ranks, ranks - 1))
    width = words(dimension)
    by_all = exchange == "node" and ranks <= machine.node and voted_by_all(ranks - 1, width, ranks, machine.cores)
    served = slices(width, ranks)[0] * turns if by_all or exchange == "sharded" else width  # words that a core votes on
    ballots = (ranks - 1) * min(served, width)
    together = exchange == "node" and dimension >= SHARED_X_FROM  # one x for all of them
    steps = turns / ranks if together else turns
    gradients, xs = (8.0 * dimension * min(copies, machine.node) for copies in (ranks - 1, 1 if together else ranks))
    through = machine.memory.seconds
    pack = max(workers_turns * machine.pack.at(dimension), through(gradients, gradients + xs))
    apply = max(steps * machine.apply.at(dimension), through(2 * xs, gradients + xs))  # x is read and written
    return pack + machine.vote.at(ballots) + apply


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
        "allreduce float32": lambda: allreduce(net, ranks, 4.0 * dimension).seconds(net),
        "allreduce float64": lambda: allreduce(net, ranks, 8.0 * dimension).seconds(net),
        "gather int8": lambda: communication(net, "server", ranks, dimension - 8.0, dimension - 8.0),
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
    memory = _memory(times, cores, pack, apply)
    flag, late = _flags(times, cores)
    if len(used) < 4:
        raise ValueError(_LACKS.format("rounds"))
    logs = np.log([time.median for time in used])

    def machine(logarithms: Floats) -> Machine:
        latency, bandwidth, adding, switch = (float(value) for value in np.exp(logarithms))
        return Machine(Network(latency, bandwidth, adding, flag, switch, late), pack, apply, vote, cores, memory)

    def residuals(logarithms: Floats) -> Floats:
        made = machine(logarithms)
        return np.log([seconds(made, time.what, time.exchange, time.ranks, time.dimension) for time in used]) - logs

    # logarithms keep parameters positive; soft_l1 lets a few disturbed times count for less
    return machine(least_squares(residuals, np.log([1e-6, 1e9, 1e9, 1e-6]), loss="soft_l1").x)


_WITHIN = ((math.log(1e8), math.log(1e12)), (math.log(2**18), math.log(2**32)))
"""Where bandwidth and cache are looked for, as logarithms."""


def _memory(times: list[Time], cores: float, pack: Curve, apply: Curve) -> Memory:
    """Return the memory, from all ranks' packing and applying at the same time; OWN where that was not timed."""
    rows = []
    for time in times:
        if time.what in ("workers pack", "ranks apply"):
            curve, busy, passes = (pack, time.ranks - 1, 1) if time.what == "workers pack" else (apply, time.ranks, 2)
            held = 8.0 * time.dimension * busy
            alone = max(1.0, busy / cores) * curve.at(time.dimension)
            rows.append((passes * held, held, alone, time.median))
    if not rows:
        return OWN
    moved, held, alone, measured = np.array(rows).T

    def error(logarithms: Floats) -> float:
        bandwidth, cache = np.exp(logarithms)
        through = moved * np.maximum(0.0, 1.0 - cache / held) / bandwidth
        # not their squares: the shortest are mostly calls
        return float(np.abs(np.log(np.maximum(alone, through) / measured)).sum())

    return Memory(*(float(value) for value in np.exp(brute(error, _WITHIN, Ns=40))))


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
