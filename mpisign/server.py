"""The parameter server of Algorithm 3: worker rows come in, one reply goes out.

Rank 0 is the server. In one process it hosts every worker; otherwise the other ranks host them, in
blocks of equal length, so that one Gather brings the rows in the order of the workers. What is computed from them
is computed here, in that order: the reply does not depend on how many ranks there are.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from mpisign import planes
from mpisign.arrays import Floats, Words
from mpisign.exchange import Ranks
from mpisign.messages import DenseMessage, Message, SignMessage, Zeros
from mpisign.planes import kernel
from mpisign.randomness import Draws, Purpose

_SEND_WEAK = np.uint64(2**64 - 1)
"""A reply with this number (a NaN that no arithmetic makes) holds no vote: it asks for the weak planes."""


class Server(ABC):
    """One round of messages an iteration, planned for one repeat.

    hosted: the workers of this rank. reply: what every rank holds after a round.
    bits_up, bits_down: bits sent so far by all workers together, and to all of them.
    """

    reply: Message
    _messages: Sequence[Message]

    def __init__(self, ranks: Ranks, workers: int, columns: int):
        self._ranks, self._workers = ranks, workers
        self._per_rank = workers if ranks.size == 1 else -(-workers // (ranks.size - 1))
        first = 0 if ranks.size == 1 else (ranks.rank - 1) * self._per_rank
        self.hosted = range(max(first, 0), max(min(first + self._per_rank, workers), 0))
        self._table = ranks.table(self._per_rank, columns)
        self._reply_row = np.zeros(columns, dtype=np.uint64)
        self.bits_up = self.bits_down = 0
        self.begin(0)

    def begin(self, k: int) -> None:
        """Iteration k begins: `sent_up` and `sent_down` are the bits that were spent to reach x_k."""
        self.k, self.sent_up, self.sent_down = k, self.bits_up, self.bits_down

    def message(self, worker: int) -> Message:
        """The outgoing message of a worker hosted here."""
        return self._messages[worker - self.hosted.start]

    def _arrived(self, table: Words) -> Words:
        """The workers' rows of a gathered table, in their order; on the root."""
        first = 0 if self._ranks.size == 1 else self._per_rank
        return table[first : first + self._workers]

    def _count(self, up: int, down: int) -> None:
        """Add the bits of one row of `up` words from each worker and one of `down` words to each."""
        self.bits_up += 64 * up * self._workers
        self.bits_down += 64 * down * self._workers

    @abstractmethod
    def round(self) -> Message:
        """Gather the messages, combine them, broadcast; returns the reply."""


class MeanServer(Server):
    """Dense gradients: the reply is their mean, and the mean of their numbers."""

    def __init__(self, ranks: Ranks, workers: int, dimension: int, zeros: Zeros, draws: Draws):
        super().__init__(ranks, workers, 1 + dimension)
        rows = self._table.view(np.float64)
        self._messages = [DenseMessage(row) for row in rows[: len(self.hosted)]]
        self.reply = DenseMessage(self._reply_row.view(np.float64))

    def round(self) -> Message:
        self._ranks.gather(self._table)
        if self._ranks.root:
            rows = self._arrived(self._table).view(np.float64)
            _mean(rows, self._reply_row.view(np.float64))
        self._ranks.broadcast(self._reply_row)
        self._count(up=len(self._reply_row), down=len(self._reply_row))
        return self.reply


class VoteServer(Server):
    """Signs: the reply is their majority vote, and the mean of their numbers.

    With zeros = "exact" a worker whose vector has zeros says so by the sign of its number. Then the first reply
    asks for everyone's weak planes; each worker casts two ballots, [v > 0] and [v >= 0], and the majority of
    the 2 M ballots is the sign of the sum of the ternary signs. A tied reply says so in the same
    way, and its weak plane follows.
    """

    def __init__(self, ranks: Ranks, workers: int, dimension: int, zeros: Zeros, draws: Draws):
        width = planes.words(dimension)
        super().__init__(ranks, workers, 1 + width)
        self._weak_table = ranks.table(self._per_rank, width)
        self._weak_reply = np.zeros(width, dtype=np.uint64)
        self._draws = draws

        def message(row: Words, weak: Words, purpose: Purpose, worker: int) -> SignMessage:
            return SignMessage(row, weak, zeros, lambda: self._coin(purpose, worker))

        self._messages: list[SignMessage] = [
            message(self._table[i], self._weak_table[i], Purpose.ZERO_SIGN, worker)
            for i, worker in enumerate(self.hosted)
        ]
        self.reply: SignMessage = message(self._reply_row, self._weak_reply, Purpose.TIE, 0)

    def round(self) -> Message:
        self._ranks.gather(self._table)
        if self._ranks.root:
            self._vote_or_ask()
        self._ranks.broadcast(self._reply_row)
        self._count(up=len(self._reply_row), down=len(self._reply_row))
        if self._reply_row[0] == _SEND_WEAK:
            self._vote_with_weak_planes()
        if self.reply.ternary:
            self._ranks.broadcast(self._weak_reply)
            self._count(up=0, down=len(self._weak_reply))
        return self.reply

    def _vote_or_ask(self) -> None:
        mean, someone_has_zeros = _mean_number(self._arrived(self._table).view(np.float64))
        if someone_has_zeros:
            self._reply_row[0] = _SEND_WEAK
        else:
            self._vote(mean, self._weak_table[:0])

    def _vote_with_weak_planes(self) -> None:
        for message in self._messages:
            if not message.ternary:
                message.weak[:] = message.strict
        self._ranks.gather(self._weak_table)
        if self._ranks.root:
            mean, _ = _mean_number(self._arrived(self._table).view(np.float64))
            self._vote(mean, self._arrived(self._weak_table))
        self._ranks.broadcast(self._reply_row)
        self._count(up=len(self._weak_reply), down=len(self._reply_row))

    def _vote(self, mean: float, weak_rows: Words) -> None:
        rows = self._arrived(self._table)
        ties = planes.vote(rows, weak_rows, self.reply.strict, self._weak_reply)
        self.reply.ties = planes.differing(self.reply.strict, self._weak_reply) if ties else 0
        self.reply.settle(mean, ties)

    def _coin(self, purpose: Purpose, worker: int) -> Words:
        generator = self._draws.at(purpose, worker, self.k)
        return generator.integers(0, 2**64, size=len(self._weak_reply), dtype=np.uint64)


SERVERS: dict[str, type[MeanServer] | type[VoteServer]] = {"dense": MeanServer, "signs": VoteServer}
"""The kind of a method's messages -> the server that combines them."""


@kernel("void(float64[:, ::1], float64[::1])")
def _mean(rows: Floats, out: Floats) -> None:
    """out = (rows[0] + rows[1] + ...) / M, added in the order of the workers."""
    for i in range(len(out)):
        out[i] = rows[0, i]
    for m in range(1, len(rows)):
        for i in range(len(out)):
            out[i] += rows[m, i]
    for i in range(len(out)):
        out[i] /= len(rows)


@kernel("Tuple((float64, boolean))(float64[:, ::1])")
def _mean_number(rows: Floats) -> tuple[float, bool]:
    """The mean size of the numbers in front, added in the order of the workers; whether one has its sign bit set."""
    total, flagged = 0.0, False
    for m in range(len(rows)):
        total += abs(rows[m, 0])
        flagged |= np.signbit(rows[m, 0])
    return total / len(rows), flagged
