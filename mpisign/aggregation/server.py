"""The parameter server of Algorithm 3: worker rows come in, one reply goes out.

How they travel is the exchange's business (`mpisign.aggregation.exchange`). What is computed from them is computed
here, in the order of the workers and coordinate by coordinate: the reply depends neither on the number of ranks nor on
who computes which coordinates of it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, Protocol, Self

import numpy as np

from mpisign.aggregation import bitplanes
from mpisign.aggregation.exchange import Exchange, Format
from mpisign.aggregation.exchange_registry import Meeting
from mpisign.aggregation.messages import DenseMessage, Message, SignMessage, Zeros
from mpisign.arrays import Floats, Words
from mpisign.jit import kernel, part_of_kernels
from mpisign.rng import Draws, Purpose

_SEND_WEAK = 2**64 - 1
"""A reply with this number (a NaN that no arithmetic makes) holds no vote: it asks for the weak planes."""


class Combination(Protocol):
    """What a server must know of a method: see `mpisign.algorithms.methods.Method`."""

    message: ClassVar[Literal["signs", "scaled-signs", "dense"]]
    quadratic: ClassVar[bool]

    @property
    def zeros(self) -> Zeros: ...


class Server(ABC):
    """One round of messages an iteration, planned for one repeat; a context that gives back what MPI holds for it.

    workers: M. hosted: those of this rank. reply: what every rank holds after a round. bits_up, bits_down: bits of the
    messages so far, of all workers together and to all of them, however the exchange cuts them and carries them.
    """

    reply: Message
    quadratic = False  # whether the mean of the numbers is the root of the mean of their squares
    _stepping: Message | None = None
    _messages: Sequence[Message]

    def __init__(self, exchange: Exchange):
        self._exchange, self.workers, self.hosted = exchange, exchange.workers, exchange.hosted
        self.bits_up = self.bits_down = 0
        self.begin(0)

    def resume(self, k: int, bits_up: int, bits_down: int) -> None:
        """Iteration k is the next one, and so many bits were sent before."""
        self.bits_up, self.bits_down = bits_up, bits_down
        self.begin(k)

    def begin(self, k: int) -> None:
        """Iteration k begins: `bits_up_at_k` and `bits_down_at_k` are the bits that were spent to reach x_k."""
        self.k, self.bits_up_at_k, self.bits_down_at_k = k, self.bits_up, self.bits_down

    def message(self, worker: int) -> Message:
        """The outgoing message of a worker hosted here."""
        return self._messages[worker - self.hosted.start]

    def of_all_workers(self, rows: Words) -> Words:
        """See `mpisign.aggregation.exchange.Exchange.of_all_workers`."""
        return self._exchange.of_all_workers(rows)

    def _collect(self, exchange: Exchange) -> None:
        exchange.collect()
        self.bits_up += exchange.bits_up

    def _spread(self, exchange: Exchange, ties: int = 0) -> int:
        self.bits_down += exchange.bits_down
        return exchange.spread(ties)

    def keep(self, x: Floats) -> Floats:
        """x, where the exchange wants it to be kept while it is stepped by the replies; every rank calls it."""
        kept, self._stepping = self._exchange.keep(x, self.reply)
        return kept

    def round(self) -> Message:
        """Collect the messages, combine them, spread the reply and return it."""
        self._round()
        return self._stepping or self.reply

    @abstractmethod
    def _round(self) -> None:
        """After it, `reply` holds the reply."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self._exchange.close()


class MeanServer(Server):
    """Dense gradients: the reply is their mean, and the mean of their numbers."""

    def __init__(self, meeting: Meeting, workers: int, dimension: int, zeros: Zeros, draws: Draws):
        super().__init__(meeting(workers, Format(1, dimension, dimension)))
        rows = self._exchange.table[: len(self.hosted), : 1 + dimension]
        self._messages = [DenseMessage(row.view(np.float64)) for row in rows]
        self.reply = DenseMessage(self._exchange.reply.view(np.float64))

    def _round(self) -> None:
        self._collect(self._exchange)
        if self._exchange.combines:
            _mean(self._exchange.rows.view(np.float64), self._exchange.part.view(np.float64))
        self._spread(self._exchange)


class SignServer(Server):
    """Signs come in, with their weak planes where they are needed.

    With zeros = "exact" a worker whose vector has zeros says so by the sign of its number. Then the first reply holds
    nothing but the question for everyone's weak planes, and the second one is the reply.
    """

    def __init__(
        self,
        meeting: Meeting,
        workers: int,
        dimension: int,
        zeros: Zeros,
        draws: Draws,
        form: Format,
        weak_form: Format,
    ):
        super().__init__(meeting(workers, form))
        self._weak_exchange = meeting(workers, weak_form)
        self._dimension, self._zeros, self._draws = dimension, zeros, draws
        own = zip(self._exchange.table, self._weak_exchange.table, self.hosted, strict=False)
        self._messages: list[SignMessage] = [
            self._sign_message(row[: 1 + form.up], plane[: form.up], Purpose.ZERO_SIGN, worker)
            for row, plane, worker in own
        ]

    def _sign_message(self, row: Words, weak: Words, purpose: Purpose, worker: int, start: int = 0) -> SignMessage:
        """start: where the message's planes begin in the whole ones."""
        stop = start + len(row) - 1
        return SignMessage(
            self._dimension, row, weak, self._zeros, lambda: self._coin(purpose, worker, stop)[start:stop]
        )

    def _coin(self, purpose: Purpose, worker: int, width: int) -> Words:
        generator = self._draws.at(purpose, worker, self.k)
        return generator.integers(0, 2**64, size=width, dtype=np.uint64)

    def _round(self) -> None:
        exchange, ties = self._exchange, 0
        self._collect(exchange)
        if exchange.combines:
            mean, someone_has_zeros = _mean_number(exchange.numbers, self.quadratic)
            if someone_has_zeros:
                exchange.part[0] = _SEND_WEAK
            else:
                ties = self._combine(mean, None)
        self.reply.ties = self._spread(exchange, ties)
        if exchange.reply.item(0) == _SEND_WEAK:
            self._round_with_weak_planes()

    def _round_with_weak_planes(self) -> None:
        exchange, ties = self._exchange, 0
        for message in self._messages:
            if not message.ternary:
                message.weak[:] = message.strict
        self._collect(self._weak_exchange)
        if exchange.combines:
            mean, _ = _mean_number(exchange.numbers, self.quadratic)
            ties = self._combine(mean, self._weak_exchange)
        self.reply.ties = self._spread(exchange, ties)

    @abstractmethod
    def _combine(self, mean: float, weak_exchange: Exchange | None) -> int:
        """Make this rank's part of the reply; returns the number of its tied coordinates.

        weak_exchange: None without zeros.
        """

    def __exit__(self, *reason: object) -> None:
        super().__exit__(*reason)
        self._weak_exchange.close()


class VoteServer(SignServer):
    """The reply is the majority vote, and the mean of the numbers (Algorithm 3).

    Where weak planes came, each worker casts two ballots, [v > 0] and [v >= 0], and the majority of the 2 M ballots is
    the sign of the sum of the ternary signs. A tied reply says so by the sign of its number; its weak plane follows.
    """

    reply: SignMessage

    def __init__(self, meeting: Meeting, workers: int, dimension: int, zeros: Zeros, draws: Draws):
        width = bitplanes.words(dimension)
        form, weak_form = Format(1, width, width, ballots=True), Format(0, width, width, ballots=True)
        super().__init__(meeting, workers, dimension, zeros, draws, form, weak_form)
        exchange = self._exchange
        self.reply = self._sign_message(exchange.reply, self._weak_exchange.reply, Purpose.TIE, 0)
        self._part = self._sign_message(exchange.part, self._weak_exchange.part, Purpose.TIE, 0, exchange.start)

    def _round(self) -> None:
        super()._round()
        if self.reply.ternary:
            self._spread(self._weak_exchange)

    def _combine(self, mean: float, weak_exchange: Exchange | None) -> int:
        tied = self._exchange.vote(weak_exchange, self._part.strict, self._part.weak)
        ties = bitplanes.differing(self._part.strict, self._part.weak) if tied else 0
        self._part.settle(mean, tied)
        return ties


class ScaledSignServer(SignServer):
    """The reply is the mean of the workers' signs, each times its number, added in their order; it is dense."""

    def __init__(self, meeting: Meeting, workers: int, dimension: int, zeros: Zeros, draws: Draws):
        width = bitplanes.words(dimension)
        form, weak_form = Format(1, width, dimension, fold=64), Format(0, width, 0)
        super().__init__(meeting, workers, dimension, zeros, draws, form, weak_form)
        self.reply = DenseMessage(self._exchange.reply.view(np.float64))
        self._part = DenseMessage(self._exchange.part.view(np.float64))
        arrived = zip(self._exchange.rows, self._weak_exchange.rows, range(workers), strict=False)
        self._arrived = [self._sign_message(row, plane, Purpose.ZERO_SIGN, worker) for row, plane, worker in arrived]

    def _combine(self, mean: float, weak_exchange: Exchange | None) -> int:
        vector = self._part.vector
        vector[:] = 0.0
        for message in self._arrived:
            message.subtract_from(vector, -message.number / self.workers)
        self._part.number = mean
        return 0


SERVERS: dict[str, type[MeanServer] | type[VoteServer] | type[ScaledSignServer]] = {
    "dense": MeanServer,
    "signs": VoteServer,
    "scaled-signs": ScaledSignServer,
}
"""The kind of a method's messages -> the server that combines them."""


def plan_server(method: Combination, workers: int, dimension: int, meeting: Meeting, draws: Draws) -> Server:
    """The server of a method's messages of so many workers, for one repeat; every rank calls it."""
    server = SERVERS[method.message](meeting, workers, dimension, method.zeros, draws)
    server.quadratic = method.quadratic
    return server


@kernel("void(float64[:, ::1], float64[::1])")
def _mean(rows: Floats, out: Floats) -> None:
    """out = (rows[0] + rows[1] + ...) / M, added in the order of the workers; where that overflows, divided first."""
    for i in range(len(out)):
        out[i] = rows[0, i]
    for m in range(1, len(rows)):
        for i in range(len(out)):
            out[i] += rows[m, i]
    for i in range(len(out)):
        if np.isfinite(out[i]):
            out[i] /= len(rows)
        else:
            out[i] = 0.0
            for m in range(len(rows)):
                out[i] += rows[m, i] / len(rows)


@part_of_kernels
def _quadratic_mean(numbers: Floats) -> float:
    """The root of the mean square, of parts of the largest number, so that no square overflows or vanishes."""
    largest, squares = 0.0, 0.0
    for number in numbers:
        largest = max(largest, abs(number))
    for number in numbers:
        part = abs(number) / largest
        squares += part * part
    return largest * math.sqrt(squares / len(numbers))


@kernel("Tuple((float64, boolean))(float64[:], boolean)")
def _mean_number(numbers: Floats, quadratic: bool) -> tuple[float, bool]:
    """The mean size of the numbers, or their quadratic mean, in the order of the workers; whether one has its sign bit
    set. It overflows, or vanishes, only where a number does."""
    total, flagged, count = 0.0, False, len(numbers)
    for number in numbers:
        total += abs(number)
        flagged |= np.signbit(number)
    if quadratic and count > 1 and total > 0.0:
        return _quadratic_mean(numbers), flagged
    if np.isfinite(total):
        return total / count, flagged
    total = 0.0  # the mean of two finite numbers is finite, and their sum may not be
    for number in numbers:
        total += abs(number) / count
    return total, flagged
