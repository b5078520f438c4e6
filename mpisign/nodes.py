"""The exchange by way of the node: its ranks meet in shared memory; only its first rank, the leader, sends messages.

Inside a node a row is written where the leader reads it, and the reply is read where the leader wrote it: nothing is
copied and no message sent. A flag for each rank says which round its rows are of; who waits lets others have the core.
Between nodes the leaders send their workers' numbers and the counts of their ballots: m workers take as many planes as
m has binary digits, where their rows would take m.
"""

from typing import Self

import numpy as np

from mpisign import ballots
from mpisign.arrays import Indices, Words
from mpisign.exchange import Central, Exchange, Format, numbers_of
from mpisign.kernels import flag, kernel, set_flag, yield_core
from mpisign.ranks import Ranks

_LINE = 8
"""Words of a cache line: each flag has one to itself."""

_SPINS = 64
"""Looks at a flag between two offers of the core."""

_PATIENCE = 10**7
"""Looks at a flag after which Python may see its signals; some tenths of a second."""


class Node(Exchange):
    """All ranks are on one node: rank 0 combines rows that it never received."""

    def __init__(self, ranks: Ranks, workers: int, form: Format):
        super().__init__(ranks, workers, form)
        self._node, width = ranks.node, form.header + form.up
        lines, rows = _LINE * (self._node.size + 1), self._node.size * self.per_rank
        memory, self._give_back = ranks.memory(lines + rows * width + form.header + form.down)
        self._flags = memory[:lines].view(np.int64)
        self._shared = memory[lines : lines + rows * width].reshape(rows, width)
        self.table = self._shared[self._node.rank * self.per_rank : (self._node.rank + 1) * self.per_rank]
        self.reply = self.part = memory[lines + rows * width :]
        self.combines, self.start, self._collected, self._spread = ranks.root, 0, 0, 0
        self.rows = self.arrived(self._shared) if ranks.root else self._shared[:0]
        self.numbers = numbers_of(self.rows)

    def collect(self) -> None:
        self._collected += 1
        _raise(self._flags, self._node.rank, self._collected)
        if self._node.root:
            self._wait(0, self._node.size, self._collected)

    def spread(self, ties: int) -> int:
        """The reply stays as it is until every rank has written its rows of the next round."""
        self._spread += 1
        if self._node.root:
            _raise(self._flags, self._node.size, self._spread)
        else:
            self._wait(self._node.size, self._node.size + 1, self._spread)
        return ties

    def _wait(self, first: int, stop: int, value: int) -> None:
        while not _raised(self._flags, first, stop, value):
            pass

    def close(self) -> None:
        self._give_back()


class Nodes(Node):
    """Ballots over several nodes: the leaders' counts are gathered, and the reply is broadcast to the leaders."""

    def __init__(self, ranks: Ranks, workers: int, form: Format):
        super().__init__(ranks, workers, form)
        self.rows, self.numbers = self._shared[:0], np.zeros(workers)
        self._leaders, self._front = ranks.leaders, workers * form.header
        self._digits = min(ranks.largest * self.per_rank, workers).bit_length()
        self._rows_here, self._workers_here = _who(self)
        if self._leaders is None:
            return
        self._table = self._leaders.table(1, self._front + self._digits * form.up)
        self._counts = self._table[0, self._front :].reshape(self._digits, form.up)
        self._collectives = self._leaders.gather_of(self._table), self._leaders.broadcast_of(self.reply)

    def collect(self) -> None:
        super().collect()
        if self._leaders is None:
            return
        ballots.count(self._shared, self._counts)
        if self._front:
            self._table[0, self._workers_here] = self._shared[self._rows_here, 0]
        self._collectives[0].run()
        if self._front and self.combines:  # each leader's table has zeros where another node's worker has its number
            np.bitwise_or.reduce(self._table[:, : self._front], axis=0, out=self.numbers.view(np.uint64))

    def vote(self, weak: Self | None, strict: Words, weak_plane: Words) -> bool:
        counts, weak_counts = self._table, self._table[:0] if weak is None else weak._table
        cast = self.workers * (1 if weak is None else 2)
        return ballots.vote_counts(counts, weak_counts, self._digits, cast, strict, weak_plane)

    def spread(self, ties: int) -> int:
        if self._leaders is not None:
            self._collectives[1].run()
        return super().spread(ties)

    def close(self) -> None:
        super().close()
        if self._leaders is not None:
            for collective in self._collectives:
                collective.free()


def _who(exchange: Exchange) -> tuple[Indices, Indices]:
    """The rows of this node's table that have a worker, and the number of each."""
    members = exchange.ranks.members
    hosted = [
        (exchange.per_rank * i + j, m) for i, rank in enumerate(members) for j, m in enumerate(exchange.hosted_by(rank))
    ]
    rows, workers = np.array(hosted, dtype=np.int64).reshape(-1, 2).T
    return rows, workers


def by_node(ranks: Ranks, workers: int, form: Format) -> Exchange:
    """Shared memory on one node; over several, counts where the rows are ballots, and else the single server."""
    if ranks.largest == ranks.size:
        return Node(ranks, workers, form)
    return (Nodes if form.ballots else Central)(ranks, workers, form)


@kernel("void(int64[::1], int64, int64)")
def _raise(flags: Indices, index: int, value: int) -> None:
    set_flag(flags, _LINE * index, value)


@kernel("boolean(int64[::1], int64, int64, int64)")
def _raised(flags: Indices, first: int, stop: int, value: int) -> bool:
    """Wait until the flags first, ..., stop - 1 are `value`; False when patience is over first."""
    looks = 0
    for i in range(first, stop):
        while flag(flags, _LINE * i) != value:
            looks += 1
            if looks % _SPINS == 0:
                yield_core()
            if looks > _PATIENCE:
                return False
    return True
