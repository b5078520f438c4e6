"""How messages travel: the workers' rows come to whoever combines them, and one reply comes to every rank.

A row is `header` words in front and a payload that can be cut into slices. In one process, and with the single server,
the root combines whole rows; other exchanges may cut them, and every rank combines a slice. What the words mean is
the server's business (`mpisign.aggregation.server`): all exchanges give it the same rows in the same order, or, of
ballots, the same vote, so that the reply is the same bit for bit.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Self

import numpy as np
from typing_extensions import override

from mpisign.aggregation import majority_vote
from mpisign.aggregation.compiled_travel import NO_SIGNALS, Travel
from mpisign.aggregation.messages import Message
from mpisign.aggregation.slices.cut import ReplyParts, receivers, slices
from mpisign.arrays import Floats, Words
from mpisign.comm.communicator import Communicator
from mpisign.config.validation import InputError


class Format(NamedTuple):
    """The lengths of a worker's row and of the reply, in words.

    Attributes:
        header: words in front of both.
        up: words of a row behind them.
        down: words of the reply behind them.
        reply_words_per_word: the words of the reply that belong to one word of a row: 64, where signs come in and
            coordinates go out.
        ballots: whether the rows are ballots, of which nothing but their `vote` will be asked.
        tables: how many tables of such rows will be planned together.
    """

    header: int
    up: int
    down: int
    reply_words_per_word: int = 1
    ballots: bool = False
    tables: int = 1


def hosted_by(rank: int, size: int, workers: int) -> range:
    """Return the workers of a rank: of one process all, of several those of rank 0 none, the others' in blocks."""
    per_rank = workers if size == 1 else -(-workers // (size - 1))
    first = 0 if size == 1 else (rank - 1) * per_rank
    return range(max(first, 0), max(min(first + per_rank, workers), 0))


class Exchange(ABC):
    """One way for rows to travel, planned for one repeat; `close` it when that is over, on every rank.

    A subclass has these attributes once it is made; all words are uint64.

    Attributes:
        workers: M.
        hosted: the workers of this rank. In one process it hosts all; otherwise the ranks but rank 0 host them, in
            blocks of at most `per_rank`.
        table: the hosted workers' outgoing rows, at least `per_rank` of them, of at least header + up words; the
            server writes the first ones.
        reply: what every rank holds after `broadcast_reply`, shape (header + down,).
        is_reducer: whether this rank combines rows.
        rows: after `gather`, those of all workers, in their order, as far as this rank combines them, shape (M, header
            + slice); of ballots (`Format.ballots`) an exchange that answers `vote` without them may leave them empty.
        numbers: those in front of them, shape (M,).
        reduced_slice: the reply to them, to be written before `broadcast_reply`: the header, and `reply_words_per_word`
            words for each word of the slice.
        slice_start: where the slice begins, in words of the whole payload.
        bits_up: bits of the rows of all workers.
        bits_down: bits of the reply to each worker, added up over all of them.
    """

    table: Words
    reply: Words
    rows: Words
    numbers: Floats
    reduced_slice: Words
    is_reducer: bool
    slice_start: int

    def __init__(self, ranks: Communicator, workers: int, form: Format):
        self.ranks, self.workers, self.form = ranks, workers, form
        self.bits_up = 64 * (form.header + form.up) * workers
        self.bits_down = 64 * (form.header + form.down) * workers
        self.per_rank = len(hosted_by(min(1, ranks.size - 1), ranks.size, workers))
        self.hosted = hosted_by(ranks.rank, ranks.size, workers)

    def arrived(self, table: Words) -> Words:
        """Return the workers' rows among those of all ranks."""
        # The server hosts no worker: its rows, the first ones, are left out.
        first = 0 if self.ranks.size == 1 else self.per_rank
        return table[first : first + self.workers]

    def of_all_workers(self, rows: Words) -> Iterable[Words]:
        """Return the rows of all workers, in their order, on the root; every rank calls it with those that it hosts.

        The root receives a row when it is asked for, and has to ask for all of them; a row holds until the next one.
        """
        if self.ranks.size == 1 or not rows.shape[1]:
            return rows if self.ranks.size == 1 else np.zeros((self.workers, 0), dtype=rows.dtype)
        for row in rows if not self.ranks.root else ():
            self.ranks.send(row, 0)
        return self._rows_received(np.empty(rows.shape[1], dtype=rows.dtype)) if self.ranks.root else rows[:0]

    def _rows_received(self, row: Words) -> Iterator[Words]:
        """Receive every worker's row on the root, each into the same one."""
        for worker in range(self.workers):
            self.ranks.receive(row, self._host(worker))
            yield row

    def to_hosts(self, all_rows: Iterable[Words], rows: Words) -> None:
        """Bring the rows that the root has of all workers, in their order, to the ranks that host them, into `rows`.

        Every rank calls it; no rank but a worker's own has its row.
        """
        if self.ranks.root:
            for worker, row in enumerate(all_rows):
                if self.ranks.size == 1:
                    rows[worker] = row
                else:
                    self.ranks.send(row, self._host(worker))
        else:
            for row in rows:
                self.ranks.receive(row, 0)

    def _host(self, worker: int) -> int:
        """Return the rank that hosts a worker, of several ranks."""
        return 1 + worker // self.per_rank

    @abstractmethod
    def gather(self) -> None:
        """Bring the rows to where they are combined."""

    def vote(self, nonnegative: Self | None, positive: Words, nonnegative_plane: Words) -> bool:
        """Take `majority_vote.vote` of this rank's slice of the rows and, where zeros came, of those of `nonnegative`.

        Args:
            nonnegative: the exchange of the nonnegative planes; None without zeros.
            positive: the positive plane of the vote, overwritten.
            nonnegative_plane: the nonnegative plane of the vote, overwritten.

        Returns:
            Whether some coordinate is tied.
        """
        return majority_vote.vote(
            self.rows, self.rows[:0] if nonnegative is None else nonnegative.rows, positive, nonnegative_plane
        )

    @abstractmethod
    def broadcast_reply(self, ties: int) -> int:
        """Bring the reply to every rank; return the sum of all ranks' `ties`, on the root.

        Args:
            ties: the tied coordinates in this rank's part of the reply.
        """

    def keep(self, x: Floats, reply: Message) -> tuple[Floats, Message]:
        """Return x where this exchange wants it to be kept, and the reply that steps there; every rank calls it."""
        return x, reply

    def travel(self) -> Travel | None:
        """Return the same for compiled code, where rank 0 combines whole rows; None where there is no such thing."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Give back what MPI holds for it."""


class Central(Exchange):
    """The paper's parameter server: rank 0 combines. One Gather and one Bcast."""

    def __init__(self, ranks: Communicator, workers: int, form: Format):
        super().__init__(ranks, workers, form)
        ranks.raise_collectively(self._refuse_what_has_no_room)
        self.table = ranks.table(self.per_rank, form.header + form.up)
        self.reply = self.reduced_slice = np.zeros(form.header + form.down, dtype=np.uint64)
        self.is_reducer, self.slice_start = ranks.root, 0
        self.rows = self.arrived(self.table) if ranks.root else self.table[:0]
        self.numbers = numbers_of(self.rows)
        self._gather, self._broadcast = ranks.gather_of(self.table), ranks.broadcast_of(self.reply)

    def _refuse_what_has_no_room(self) -> None:
        """Raise InputError on the root if its machine cannot hold the rows of all workers, which it would find late."""
        form, rows, installed = self.form, self.per_rank * self.ranks.size, self.ranks.installed
        need = 8 * form.tables * rows * (form.header + form.up)
        if self.ranks.root and need > installed:
            held = f"rank 0 would hold {need / 1e9:.3g} GB of messages of {self.workers} workers"
            to_do = "take exchange sharded, by which every rank holds about two rows, on many ranks, or fewer workers"
            raise InputError("exchange", f"{held}, and its machine has {installed / 1e9:.3g} GB; {to_do}")

    @override
    def gather(self) -> None:
        self._gather.run()

    @override
    def broadcast_reply(self, ties: int) -> int:
        self._broadcast.run()
        return ties

    @override
    def travel(self) -> Travel | None:
        gather, broadcast = self._gather.calls, self._broadcast.calls
        return None if gather is None or broadcast is None else Travel(gather, broadcast, NO_SIGNALS)

    @override
    def close(self) -> None:
        self._gather.free()
        self._broadcast.free()


class Sharded(Exchange):
    """The exchange where every rank is the server of a slice: an Alltoall of slices, an Allgather of the replies.

    Each slice of a row has the row's header in front, so that all of its servers see every worker's number; each part
    of the reply has the count of its ties behind it. A rank sends and receives about one row and one reply, whatever M
    is. Slices are whole cache lines: where there are fewer of them than ranks, the last ranks serve none.
    """

    def __init__(self, ranks: Communicator, workers: int, form: Format):
        super().__init__(ranks, workers, form)
        header, (width, count) = form.header, slices(form.up, ranks.size)
        down = form.reply_words_per_word * width if form.down else 0
        self.is_reducer, self.slice_start = ranks.rank < count, ranks.rank * width
        self.table = np.zeros((self.per_rank, header + count * width), dtype=np.uint64)
        to = receivers(count, ranks.size)
        self._sent = np.zeros((to, self.per_rank, header + width), dtype=np.uint64)
        senders = ranks.size * (ranks.rank < to)
        self._received = np.zeros((senders, self.per_rank, header + width), dtype=np.uint64)
        self.rows = self.arrived(self._received.reshape(senders * self.per_rank, header + width))
        self.numbers = numbers_of(self.rows)
        self._parts = ReplyParts(ranks, count, header, down)
        self.reduced_slice = self._parts.own
        self.reply = np.zeros(header + form.down, dtype=np.uint64)
        self._count = count
        self._alltoall = ranks.alltoall_of(self._sent, self._received)

    @override
    def gather(self) -> None:
        header, sent = self.form.header, self._sent[: self._count]
        sent[:, :, :header] = self.table[:, :header]
        cut = self.table[:, header:].reshape(self.per_rank, len(sent), -1)
        # By receiver first, as Alltoall sends it.
        sent[:, :, header:] = cut.swapaxes(0, 1)
        self._alltoall.run()

    @override
    def broadcast_reply(self, ties: int) -> int:
        return self._parts.assemble(self.reply, ties)

    @override
    def close(self) -> None:
        self._alltoall.free()
        self._parts.free()


def numbers_of(rows: Words) -> Floats:
    """Return a view of the numbers in front of rows, as they are now and later."""
    return rows[:, :1].view(np.float64)[:, 0]
