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
from mpisign.kernels import kernel
from mpisign.messages import DenseMessage, Message, SignMessage, Zeros
from mpisign.randomness import Draws, Purpose
from mpisign.ranks import Ranks

_SEND_WEAK = np.uint64(2**64 - 1)
"""A reply with this number (a NaN that no arithmetic makes) holds no vote: it asks for the weak planes."""


class Server(ABC):
    """One round of messages an iteration, planned for one repeat.

    up, down: the words of a worker's row and of the reply's. hosted: the workers of this rank. reply: what every rank
    holds after a round. bits_up, bits_down: bits sent so far by all workers together, and to all of them.
    """

    reply: Message
    _messages: Sequence[Message]

    def __init__(self, ranks: Ranks, workers: int, up: int, down: int):
        self._ranks, self._workers = ranks, workers
        self._per_rank = workers if ranks.size == 1 else -(-workers // (ranks.size - 1))
        first = 0 if ranks.size == 1 else (ranks.rank - 1) * self._per_rank
        self.hosted = range(max(first, 0), max(min(first + self._per_rank, workers), 0))
        self._table = ranks.table(self._per_rank, up)
        self._reply_row = np.zeros(down, dtype=np.uint64)
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

    def _gather(self, table: Words) -> None:
        self._ranks.gather(table)
        self.bits_up += 64 * table.shape[1] * self._workers

    def _broadcast(self, row: Words) -> None:
        self._ranks.broadcast(row)
        self.bits_down += 64 * len(row) * self._workers

    @abstractmethod
    def round(self) -> Message:
        """Gather the messages, combine them, broadcast; returns the reply."""


class MeanServer(Server):
    """Dense gradients: the reply is their mean, and the mean of their numbers."""

    def __init__(self, ranks: Ranks, workers: int, dimension: int, zeros: Zeros, draws: Draws):
        super().__init__(ranks, workers, up=1 + dimension, down=1 + dimension)
        rows = self._table.view(np.float64)
        self._messages = [DenseMessage(row) for row in rows[: len(self.hosted)]]
        self.reply = DenseMessage(self._reply_row.view(np.float64))

    def round(self) -> Message:
        self._gather(self._table)
        if self._ranks.root:
            rows = self._arrived(self._table).view(np.float64)
            _mean(rows, self._reply_row.view(np.float64))
        self._broadcast(self._reply_row)
        return self.reply


class SignServer(Server):
    """Signs come in, with their weak planes where they are needed.

    With zeros = "exact" a worker whose vector has zeros says so by the sign of its number. Then the first reply holds
    nothing but the question for everyone's weak planes, and the second one is the reply.
    """

    def __init__(self, ranks: Ranks, workers: int, dimension: int, zeros: Zeros, draws: Draws, down: int):
        width = planes.words(dimension)
        super().__init__(ranks, workers, up=1 + width, down=down)
        self._dimension, self._zeros, self._draws = dimension, zeros, draws
        self._weak_table = ranks.table(self._per_rank, width)
        own = zip(self._table, self._weak_table, self.hosted, strict=False)
        self._messages: list[SignMessage] = [
            self._sign_message(row, weak, Purpose.ZERO_SIGN, worker) for row, weak, worker in own
        ]

    def _sign_message(self, row: Words, weak: Words, purpose: Purpose, worker: int) -> SignMessage:
        return SignMessage(self._dimension, row, weak, self._zeros, lambda: self._coin(purpose, worker, len(weak)))

    def _coin(self, purpose: Purpose, worker: int, width: int) -> Words:
        generator = self._draws.at(purpose, worker, self.k)
        return generator.integers(0, 2**64, size=width, dtype=np.uint64)

    def round(self) -> Message:
        self._gather(self._table)
        if self._ranks.root:
            mean, someone_has_zeros = _mean_number(self._arrived(self._table).view(np.float64))
            if someone_has_zeros:
                self._reply_row[0] = _SEND_WEAK
            else:
                self._combine(mean, self._weak_table[:0])
        self._broadcast(self._reply_row)
        if self._reply_row[0] == _SEND_WEAK:
            self._round_with_weak_planes()
        return self.reply

    def _round_with_weak_planes(self) -> None:
        for message in self._messages:
            if not message.ternary:
                message.weak[:] = message.strict
        self._gather(self._weak_table)
        if self._ranks.root:
            mean, _ = _mean_number(self._arrived(self._table).view(np.float64))
            self._combine(mean, self._arrived(self._weak_table))
        self._broadcast(self._reply_row)

    @abstractmethod
    def _combine(self, mean: float, weak_rows: Words) -> None:
        """Make the reply of the rows that arrived, on the root. `weak_rows`: shape (M, W), or (0, W): no zeros."""


class VoteServer(SignServer):
    """The reply is the majority vote, and the mean of the numbers (Algorithm 3).

    Where weak planes came, each worker casts two ballots, [v > 0] and [v >= 0], and the majority of the 2 M ballots is
    the sign of the sum of the ternary signs. A tied reply says so by the sign of its number; its weak plane follows.
    """

    reply: SignMessage

    def __init__(self, ranks: Ranks, workers: int, dimension: int, zeros: Zeros, draws: Draws):
        width = planes.words(dimension)
        super().__init__(ranks, workers, dimension, zeros, draws, down=1 + width)
        self._weak_reply = np.zeros(width, dtype=np.uint64)
        self.reply = self._sign_message(self._reply_row, self._weak_reply, Purpose.TIE, 0)

    def round(self) -> Message:
        super().round()
        if self.reply.ternary:
            self._broadcast(self._weak_reply)
        return self.reply

    def _combine(self, mean: float, weak_rows: Words) -> None:
        ties = planes.vote(self._arrived(self._table), weak_rows, self.reply.strict, self._weak_reply)
        self.reply.ties = planes.differing(self.reply.strict, self._weak_reply) if ties else 0
        self.reply.settle(mean, ties)


class ScaledSignServer(SignServer):
    """The reply is the mean of the workers' signs, each times its number, added in their order; it is dense."""

    def __init__(self, ranks: Ranks, workers: int, dimension: int, zeros: Zeros, draws: Draws):
        super().__init__(ranks, workers, dimension, zeros, draws, down=1 + dimension)
        self.reply = DenseMessage(self._reply_row.view(np.float64))
        arrived = zip(self._arrived(self._table), self._arrived(self._weak_table), range(workers), strict=False)
        self._ballots = [self._sign_message(row, weak, Purpose.ZERO_SIGN, worker) for row, weak, worker in arrived]

    def _combine(self, mean: float, weak_rows: Words) -> None:
        vector = self._reply_row[1:].view(np.float64)
        vector[:] = 0.0
        for ballot in self._ballots:
            ballot.subtract_from(vector, -ballot.number / self._workers)
        self.reply.number = mean


SERVERS: dict[str, type[MeanServer] | type[VoteServer] | type[ScaledSignServer]] = {
    "dense": MeanServer,
    "signs": VoteServer,
    "scaled-signs": ScaledSignServer,
}
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
