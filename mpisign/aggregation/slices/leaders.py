"""The exchange over several nodes: their first ranks, the leaders, exchange slices, as all ranks do by `Sharded`.

Within a node rows and the reply are in shared memory, as `mpisign.aggregation.node_exchange` has them. Each leader
combines a slice of all workers' rows, or, of ballots, of the counts of all nodes.
"""

from abc import abstractmethod
from typing import Self

import numpy as np
from typing_extensions import override

from mpisign.aggregation import majority_vote
from mpisign.aggregation.compiled_travel import Travel
from mpisign.aggregation.exchange import Exchange, Format, hosted_by, numbers_of
from mpisign.aggregation.node_exchange import Node
from mpisign.aggregation.slices.cut import ReplyParts, by_slice, receivers, slices
from mpisign.arrays import Indices, Words
from mpisign.comm.communicator import Communicator
from mpisign.config.validation import InputError


class Leaders(Node):
    """What leaders of nodes exchange, in slices: one Alltoall, one Allgather."""

    def __init__(self, ranks: Communicator, workers: int, form: Format):
        super().__init__(ranks, workers, form)
        self.is_reducer, self.slice_start = False, 0
        self.rows, self.numbers = self._shared[:0], np.zeros(0)
        self._leaders = ranks.leaders
        self._most = ranks.largest * self.per_rank  # rows of a node
        ranks.raise_collectively(self._refuse_what_has_no_room)
        hosted = _who(self)  # every rank asks for it
        if self._leaders is None:
            return
        size = self._leaders.size
        self._width, self._count = slices(form.up, size)
        down = form.reply_words_per_word * self._width if form.down else 0
        self._parts = ReplyParts(self._leaders, self._count, form.header, down)
        self.is_reducer, self.slice_start = self._leaders.rank < self._count, self._leaders.rank * self._width
        self.reduced_slice = self._parts.own
        to = receivers(self._count, size)
        senders = size * (self._leaders.rank < to)
        shape = self._of_a_message(self._width)
        self._sent, self._received = (np.zeros((n, *shape), dtype=np.uint64) for n in (to, senders))
        self._alltoall = self._leaders.alltoall_of(self._sent, self._received)
        self._order = self._where_they_come(*hosted)

    @abstractmethod
    def _of_a_message(self, width: int) -> tuple[int, ...]:
        """Return the shape of what a leader sends to another, which has a slice of so many words."""

    def _refuse_what_has_no_room(self) -> None:
        """Raise InputError on a leader whose machine cannot hold what it sends and receives."""
        if self._leaders is None:
            return
        size, installed = self._leaders.size, self.ranks.installed
        width, _ = slices(self.form.up, size)
        need = 8.0 * self.form.tables * 3 * size * int(np.prod(self._of_a_message(width)))
        if need > installed:
            held = f"the first rank of a machine would hold {need / 1e9:.3g} GB of messages of {self.workers} workers"
            raise InputError("exchange", f"{held}, and it has {installed / 1e9:.3g} GB; take exchange sharded")

    def _where_they_come(self, rows: Indices, workers: Indices) -> Indices:
        """Return the place of each worker's row among those of all nodes, each with as many as the largest has.

        Args:
            rows: the rows of this node that have a worker.
            workers: their numbers.
        """
        assert self._leaders is not None
        own = np.zeros(self._most, dtype=np.uint64)
        own[rows] = workers + 1  # 0: no worker
        everyone = np.zeros((self._leaders.size, self._most), dtype=np.uint64)
        collective = self._leaders.allgather_of(own, everyone)
        collective.run()
        collective.free()
        places: Indices = np.argsort(everyone, axis=None, kind="stable")[-self.workers :]
        return places

    @override
    def broadcast_reply(self, ties: int) -> int:
        if self._leaders is not None:
            ties = self._parts.assemble(self.reply, ties)
        return super().broadcast_reply(ties)

    @override
    def travel(self) -> Travel | None:
        return None

    @override
    def close(self) -> None:
        super().close()
        if self._leaders is not None:
            self._alltoall.free()
            self._parts.free()


class LeaderCounts(Leaders):
    """The exchange of ballots: leaders send the counts of their node's, with the numbers of its rows in front."""

    def __init__(self, ranks: Communicator, workers: int, form: Format):
        super().__init__(ranks, workers, form)
        self._counts = np.zeros((self._digits, 0 if self._leaders is None else form.up), dtype=np.uint64)

    @property
    def _digits(self) -> int:
        """Return how many planes the counts of the largest node have."""
        return min(self._most, self.workers).bit_length()

    @property
    def _front(self) -> int:
        """Return how many numbers are in front of counts."""
        return self._most * self.form.header

    @override
    def _of_a_message(self, width: int) -> tuple[int, ...]:
        return (self._front + self._digits * width,)

    @override
    def gather(self) -> None:
        super().gather()
        if self._leaders is None:
            return
        # Rows without a worker are zero and add nothing to the counts.
        majority_vote.count(self._shared, self._counts)
        whole, rest = by_slice(self._counts, self._width)
        self._sent[: len(whole), self._front :].reshape(whole.shape)[:] = whole
        if rest.size:
            # Planes are one after the other and at the end, where they are looked for.
            self._sent[len(whole), -rest.size :].reshape(rest.shape)[:] = rest
        if self._front:
            self._sent[: self._count, : len(self._shared)] = self._shared[:, 0]
        self._alltoall.run()
        if self.is_reducer and self._front:
            self.numbers = self._received[:, : self._front].reshape(-1)[self._order].view(np.float64)

    @override
    def vote(self, nonnegative: Self | None, positive: Words, nonnegative_plane: Words) -> bool:
        counts, others = self._received, self._received[:0] if nonnegative is None else nonnegative._received
        cast = self.workers * (1 if nonnegative is None else 2)
        left = self.form.up - self.slice_start
        planes = positive[:left], nonnegative_plane[:left]
        return majority_vote.vote_counts(counts, others, self._digits, cast, *planes)


class LeaderRows(Leaders):
    """The exchange of dense rows and of scaled signs: each leader gets a slice of every worker's row."""

    def __init__(self, ranks: Communicator, workers: int, form: Format):
        super().__init__(ranks, workers, form)
        if self.is_reducer:
            self.rows = np.zeros((workers, form.header + self._width), dtype=np.uint64)
            self.numbers = numbers_of(self.rows)

    @override
    def _of_a_message(self, width: int) -> tuple[int, ...]:
        return self._most, self.form.header + width

    @override
    def gather(self) -> None:
        super().gather()
        if self._leaders is None:
            return
        header, here = self.form.header, len(self._shared)
        self._sent[: self._count, :here, :header] = self._shared[:, :header]
        whole, rest = by_slice(self._shared[:, header:], self._width)
        self._sent[: len(whole), :here, header:] = whole
        if rest.size:
            self._sent[len(whole), :here, header : header + rest.shape[1]] = rest
        self._alltoall.run()
        if self.is_reducer:
            # The sums are taken in the order of the workers.
            np.take(self._received.reshape(-1, header + self._width), self._order, axis=0, out=self.rows)


def _who(exchange: Exchange) -> tuple[Indices, Indices]:
    """Return the rows of this node's table that have a worker, and the number of each."""
    hosted = [hosted_by(rank, exchange.ranks.size, exchange.workers) for rank in exchange.ranks.members]
    rows = [exchange.per_rank * i + j for i, workers in enumerate(hosted) for j in range(len(workers))]
    return np.array(rows, dtype=np.int64), np.array([m for workers in hosted for m in workers], dtype=np.int64)
