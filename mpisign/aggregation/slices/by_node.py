"""Choose how rows travel by way of the nodes."""

import numpy as np

from mpisign.aggregation import node_exchange
from mpisign.aggregation.compiled_travel import LINE
from mpisign.aggregation.exchange import Central, Exchange, Format
from mpisign.aggregation.slices.leaders import LeaderCounts, LeaderRows
from mpisign.comm.communicator import Communicator

LEADERS_SHARE_FROM = 2**11
"""The words of a row, 16 kB, from which on leaders combine slices of rows that are no ballots; below it the single
server does, whose iterations are compiled."""


def by_node(ranks: Communicator, workers: int, form: Format) -> Exchange:
    """Return shared memory on one node; over several, slices of counts or of long rows, and else the single server.

    The single server it is, too, where the system has no semaphores between processes, as macOS.
    """
    if not node_exchange.make_semaphores(np.zeros(LINE, dtype=np.uint64), 1):
        return Central(ranks, workers, form)
    if ranks.largest == ranks.size:
        by_all = form.ballots and node_exchange.voted_by_all(workers, form.up, ranks.size, ranks.cores)
        return (node_exchange.VotingNode if by_all else node_exchange.Node)(ranks, workers, form)
    if form.ballots:
        return LeaderCounts(ranks, workers, form)
    return (LeaderRows if form.up >= LEADERS_SHARE_FROM else Central)(ranks, workers, form)
