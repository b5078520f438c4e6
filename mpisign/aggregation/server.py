"""The parameter server of Algorithm 3: worker rows come in, one reply goes out.

How they travel is the exchange's business (`mpisign.aggregation.exchange`). What is computed from them is computed
here, in the order of the workers and coordinate by coordinate: the reply depends neither on the number of ranks nor on
who computes which coordinates of it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, Protocol, Self

import numpy as np

from mpisign.aggregation import bitplanes
from mpisign.aggregation.exchange import Exchange, Format
from mpisign.aggregation.exchange_registry import ExchangeFactory
from mpisign.aggregation.means import mean_number, mean_row
from mpisign.aggregation.messages import DenseMessage, Message, SignMessage, Zeros
from mpisign.arrays import Floats, Words
from mpisign.rng import RandomStreams, Stream

_SEND_WEAK = 2**64 - 1
"""The number of a reply (a NaN that no arithmetic makes) that holds no vote: it asks for the nonnegative planes."""


class Combination(Protocol):
    """What a server must know of a method: see `mpisign.algorithms.methods.Method`."""

    message: ClassVar[Literal["signs", "scaled-signs", "dense"]]
    quadratic: ClassVar[bool]

    @property
    def zeros(self) -> Zeros:
        """Return what a zero sign and a tied vote become."""


class Server(ABC):
    """One round of messages an iteration, planned for one repeat; a context that gives back what MPI holds for it.

    Attributes:
        workers: M.
        hosted: the workers of this rank.
        reply: what every rank holds after a round.
        quadratic: whether the mean of the numbers is the root of the mean of their squares.
        k: the iteration.
        bits_up: bits of the messages so far, of all workers together, however the exchange cuts and carries them.
        bits_down: bits of the replies so far, to all workers together.
        bits_up_at_k: `bits_up` when iteration k began: what was spent to reach x_k.
        bits_down_at_k: `bits_down` when iteration k began.
    """

    reply: Message
    quadratic = False  # whether the mean of the numbers is the root of the mean of their squares
    _stepping: Message | None = None
    _messages: Sequence[Message]

    def __init__(self, exchange: Exchange):
        self._exchange, self.workers, self.hosted = exchange, exchange.workers, exchange.hosted
        self.bits_up = self.bits_down = 0
        self.start_iteration(0)

    def resume(self, k: int, bits_up: int, bits_down: int) -> None:
        """Make iteration k the next one, so many bits having been sent before."""
        self.bits_up, self.bits_down = bits_up, bits_down
        self.start_iteration(k)

    def start_iteration(self, k: int) -> None:
        """Begin iteration k: `bits_up_at_k` and `bits_down_at_k` are the bits that were spent to reach x_k."""
        self.k, self.bits_up_at_k, self.bits_down_at_k = k, self.bits_up, self.bits_down

    def message(self, worker: int) -> Message:
        """Return the outgoing message of a worker hosted here."""
        return self._messages[worker - self.hosted.start]

    def of_all_workers(self, rows: Words) -> Words:
        """Return the rows of all workers, on the root; see `mpisign.aggregation.exchange.Exchange.of_all_workers`."""
        return self._exchange.of_all_workers(rows)

    def _gather(self, exchange: Exchange) -> None:
        """Gather the exchange's rows, and count their bits."""
        exchange.gather()
        self.bits_up += exchange.bits_up

    def _broadcast(self, exchange: Exchange, ties: int = 0) -> int:
        """Broadcast the exchange's reply, and count its bits; return the ties of all ranks, on the root."""
        self.bits_down += exchange.bits_down
        return exchange.broadcast_reply(ties)

    def keep(self, x: Floats) -> Floats:
        """Return x where the exchange wants it to be kept while it is stepped by the replies; every rank calls it."""
        kept, self._stepping = self._exchange.keep(x, self.reply)
        return kept

    def aggregate(self) -> Message:
        """Collect the messages, combine them, spread the reply and return it."""
        self._aggregate()
        return self._stepping or self.reply

    @abstractmethod
    def _aggregate(self) -> None:
        """Collect the messages and combine them; `reply` holds the reply after it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self._exchange.close()


class MeanServer(Server):
    """The server of dense gradients: the reply is their mean, and the mean of their numbers."""

    def __init__(
        self, exchange_factory: ExchangeFactory, workers: int, dimension: int, zeros: Zeros, streams: RandomStreams
    ):
        super().__init__(exchange_factory(workers, Format(1, dimension, dimension)))
        rows = self._exchange.table[: len(self.hosted), : 1 + dimension]
        self._messages = [DenseMessage(row.view(np.float64)) for row in rows]
        self.reply = DenseMessage(self._exchange.reply.view(np.float64))

    def _aggregate(self) -> None:
        self._gather(self._exchange)
        if self._exchange.is_reducer:
            mean_row(self._exchange.rows.view(np.float64), self._exchange.reduced_slice.view(np.float64))
        self._broadcast(self._exchange)


class SignServer(Server):
    """A server to which signs come in, with their nonnegative planes where they are needed.

    With zeros = "exact" a worker whose vector has zeros says so by the sign of its number. Then the first reply holds
    nothing but the question for everyone's nonnegative planes, and the second one is the reply.
    """

    def __init__(
        self,
        exchange_factory: ExchangeFactory,
        workers: int,
        dimension: int,
        zeros: Zeros,
        streams: RandomStreams,
        form: Format,
        nonnegative_form: Format,
    ):
        super().__init__(exchange_factory(workers, form))
        # Planned at once, although no zero may ever come: all ranks have to plan a collective together.
        self._nonnegative_exchange = exchange_factory(workers, nonnegative_form)
        self._dimension, self._zeros, self._streams = dimension, zeros, streams
        own = zip(self._exchange.table, self._nonnegative_exchange.table, self.hosted, strict=False)
        self._messages: list[SignMessage] = [
            self._sign_message(row[: 1 + form.up], plane[: form.up], Stream.ZERO_SIGN, worker)
            for row, plane, worker in own
        ]

    def _sign_message(
        self, row: Words, nonnegative: Words, purpose: Stream, worker: int, start: int = 0
    ) -> SignMessage:
        """Return a message on these words; start: where its planes begin in the whole ones."""
        stop = start + len(row) - 1
        return SignMessage(
            self._dimension, row, nonnegative, self._zeros, lambda: self._coin(purpose, worker, stop)[start:stop]
        )

    def _coin(self, purpose: Stream, worker: int, width: int) -> Words:
        """Return the first `width` words of the coin at this iteration."""
        generator = self._streams.generator(purpose, worker, self.k)
        return generator.integers(0, 2**64, size=width, dtype=np.uint64)

    def _aggregate(self) -> None:
        exchange, ties = self._exchange, 0
        self._gather(exchange)
        if exchange.is_reducer:
            mean, someone_has_zeros = mean_number(exchange.numbers, self.quadratic)
            if someone_has_zeros:
                exchange.reduced_slice[0] = _SEND_WEAK
            else:
                ties = self._combine(mean, None)
        self.reply.ties = self._broadcast(exchange, ties)
        # Every rank holds the same reply: all of them come to the second round, or none.
        if exchange.reply.item(0) == _SEND_WEAK:
            self._aggregate_with_nonnegative_planes()

    def _aggregate_with_nonnegative_planes(self) -> None:
        """Collect the nonnegative planes, too, and combine both."""
        exchange, ties = self._exchange, 0
        for message in self._messages:
            # A worker without zeros did not write it: the planes are the same.
            if not message.ternary:
                message.nonnegative[:] = message.positive
        self._gather(self._nonnegative_exchange)
        if exchange.is_reducer:
            mean, _ = mean_number(exchange.numbers, self.quadratic)
            ties = self._combine(mean, self._nonnegative_exchange)
        self.reply.ties = self._broadcast(exchange, ties)

    @abstractmethod
    def _combine(self, mean: float, nonnegative_exchange: Exchange | None) -> int:
        """Make this rank's part of the reply; return the number of its tied coordinates.

        Args:
            mean: the mean of the numbers, M_k.
            nonnegative_exchange: the exchange that brought the nonnegative planes; None without zeros.
        """

    def __exit__(self, *reason: object) -> None:
        super().__exit__(*reason)
        self._nonnegative_exchange.close()


class VoteServer(SignServer):
    """The server whose reply is the majority vote, and the mean of the numbers (Algorithm 3).

    Where nonnegative planes came, each worker casts two ballots, [v > 0] and [v >= 0], and the majority of the 2 M
    ballots is the sign of the sum of the ternary signs. A tied reply says so by the sign of its number; its nonnegative
    plane follows.
    """

    reply: SignMessage

    def __init__(
        self, exchange_factory: ExchangeFactory, workers: int, dimension: int, zeros: Zeros, streams: RandomStreams
    ):
        width = bitplanes.words(dimension)
        form, nonnegative_form = Format(1, width, width, ballots=True), Format(0, width, width, ballots=True)
        super().__init__(exchange_factory, workers, dimension, zeros, streams, form, nonnegative_form)
        exchange = self._exchange
        self.reply = self._sign_message(exchange.reply, self._nonnegative_exchange.reply, Stream.TIE, 0)
        self._part = self._sign_message(
            exchange.reduced_slice, self._nonnegative_exchange.reduced_slice, Stream.TIE, 0, exchange.slice_start
        )

    def _aggregate(self) -> None:
        super()._aggregate()
        if self.reply.ternary:
            self._broadcast(self._nonnegative_exchange)

    def _combine(self, mean: float, nonnegative_exchange: Exchange | None) -> int:
        tied = self._exchange.vote(nonnegative_exchange, self._part.positive, self._part.nonnegative)
        ties = bitplanes.count_zeros(self._part.positive, self._part.nonnegative) if tied else 0
        # Counted before: the policy may overwrite a plane.
        self._part.apply_zero_policy(mean, tied)
        return ties


class ScaledSignServer(SignServer):
    """The server whose reply is the mean of the workers' signs, each times its number, added in their order.

    The reply is dense.
    """

    def __init__(
        self, exchange_factory: ExchangeFactory, workers: int, dimension: int, zeros: Zeros, streams: RandomStreams
    ):
        width = bitplanes.words(dimension)
        form, nonnegative_form = Format(1, width, dimension, reply_words_per_word=64), Format(0, width, 0)
        super().__init__(exchange_factory, workers, dimension, zeros, streams, form, nonnegative_form)
        self.reply = DenseMessage(self._exchange.reply.view(np.float64))
        self._part = DenseMessage(self._exchange.reduced_slice.view(np.float64))
        arrived = zip(self._exchange.rows, self._nonnegative_exchange.rows, range(workers), strict=False)
        self._arrived = [self._sign_message(row, plane, Stream.ZERO_SIGN, worker) for row, plane, worker in arrived]

    def _combine(self, mean: float, nonnegative_exchange: Exchange | None) -> int:
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
"""The server that combines a method's messages, by their kind."""


def plan_server(
    method: Combination, workers: int, dimension: int, exchange_factory: ExchangeFactory, streams: RandomStreams
) -> Server:
    """Return the server of a method's messages of so many workers, for one repeat; every rank calls it."""
    server = SERVERS[method.message](exchange_factory, workers, dimension, method.zeros, streams)
    server.quadratic = method.quadratic
    return server
