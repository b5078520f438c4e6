"""Model what a round's messages load the links of ranks with, and what that takes.

A message of b bytes takes latency + b / bandwidth, and a rank's link carries one at a time each way. What collectives
cost then is the textbook's (Thakur, Rabenseifner, Gropp, Int. J. High Perform. Comput. Appl. 19, 2005): of the
algorithms that MPIs choose from, the cheaper one.
"""

import math
from typing import NamedTuple

from mpisign.aggregation.slices.cut import receivers, slices


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


class Load(NamedTuple):
    """What the busiest rank does in a collective, besides waiting.

    Attributes:
        messages: Messages one after the other.
        sent: Bytes that leave by its link.
        received: Bytes that come by its link, at the same time.
        added: Bytes of sums.
    """

    messages: float
    sent: float
    received: float
    added: float = 0.0

    def seconds(self, net: Network) -> float:
        """Return the seconds that it takes."""
        return self.messages * net.latency + max(self.sent, self.received) / net.bandwidth + self.added / net.adding


def gather(ranks: int, size: float) -> Load:
    """Return the load of `size` bytes of each rank to the root, whose link carries all of them."""
    return Load(_stages(ranks), 0.0, (ranks - 1) * size)


def broadcast(net: Network, ranks: int, size: float) -> Load:
    """Return the load of `size` bytes of the root to all: down a tree, or scattered and gathered by all."""
    stages, rest = _stages(ranks), (ranks - 1) / ranks * size
    return _cheaper(net, Load(stages, stages * size, 0.0), Load(stages + ranks - 1, 2 * rest, rest))


def alltoall(net: Network, ranks: int, size: float) -> Load:
    """Return the load of `size` bytes of each rank, a part to each.

    It goes in pairs, or in stages that carry half of it each (Bruck).
    """
    rest, half = (ranks - 1) / ranks * size, _stages(ranks) * size / 2
    return _cheaper(net, Load(ranks - 1, rest, rest), Load(_stages(ranks), half, half))


def alltofew(ranks: int, few: int, part: float) -> Load:
    """Return the load of a part of each rank to each of a few: each rank sends these one after the other."""
    return Load(min(few, ranks - 1), (few - 1) * part, (ranks - 1) * part)


def allgather(ranks: int, size: float) -> Load:
    """Return the load of a part of each rank to all, `size` bytes together."""
    rest = (ranks - 1) / ranks * size
    return Load(_stages(ranks), rest, rest)


def allreduce(net: Network, ranks: int, size: float) -> Load:
    """Return the load of a sum of `size` bytes a rank.

    It goes by doubling, or by scattered sums that are gathered by all (Rabenseifner).
    """
    stages, rest = _stages(ranks), (ranks - 1) / ranks * size
    whole = stages * size
    return _cheaper(net, Load(stages, whole, whole, whole), Load(2 * stages, 2 * rest, 2 * rest, rest))


def _cheaper(net: Network, *loads: Load) -> Load:
    """Return the load that takes the least time."""
    return min(loads, key=lambda load: load.seconds(net))


def _stages(ranks: int) -> int:
    """Return the number of stages in which all ranks are reached by doubling."""
    return math.ceil(math.log2(ranks))


def loads(net: Network, exchange: str, ranks: int, up: float, down: float, hosts: int = 1) -> list[Load]:
    """Return what a round's messages load the busiest link with, one after the other.

    Args:
        net: The network.
        exchange: Name of the exchange.
        ranks: Number of ranks, with a worker on each but the first.
        up: Bytes of a worker's message, without the number in front.
        down: Bytes of the reply, without the number in front.
        hosts: Number of hosts with as many ranks each, by "node"; the others take each rank to have a link of its own.
    """
    if exchange == "node":
        if hosts == 1:
            return []
        each = -(-ranks // hosts)
        digits = min(each, ranks - 1).bit_length()  # a plane for each, behind the numbers
        return _in_slices(net, hosts, up, down, numbers=each, planes=digits)
    if exchange == "sharded":
        return _in_slices(net, ranks, up, down)
    return [gather(ranks, up + 8), broadcast(net, ranks, down + 8)]


def _in_slices(net: Network, ranks: int, up: float, down: float, numbers: int = 1, planes: int = 1) -> list[Load]:
    """Return the loads of slices: numbers in front of the planes of each, a number and a count around each reply."""
    width, count = slices(math.ceil(up / 8), ranks)
    part, reply = 8 * (numbers + planes * width), 16 + 8 * width * down / up
    few = receivers(count, ranks) < ranks
    first = alltofew(ranks, count, part) if few else alltoall(net, ranks, ranks * part)
    return [first, allgather(ranks, count * reply)]


def communication(net: Network, exchange: str, ranks: int, up: float, down: float, hosts: int = 1) -> float:
    """Return the seconds that a round's messages take; the arguments are those of `loads`."""
    flags = -(-ranks // hosts) * net.flag if exchange == "node" else 0.0
    return flags + sum(load.seconds(net) for load in loads(net, exchange, ranks, up, down, hosts))
