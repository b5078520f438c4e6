"""The parameter server of Algorithm 3: worker rows come in, one reply goes out.

How they travel is the exchange's business (`mpisign.aggregation.exchange`). What is computed from them is computed
here, in the order of the workers and coordinate by coordinate: the reply depends neither on the number of ranks nor on
who computes which coordinates of it.
"""

from abc import abstractmethod

import numpy as np
from typing_extensions import override

from mpisign.aggregation import bitplanes
from mpisign.aggregation.exchange import Exchange, Format
from mpisign.aggregation.exchange_registry import ExchangeFactory
from mpisign.aggregation.means import mean_number, mean_row, mean_signs
from mpisign.aggregation.messages import DenseMessage, SignMessage, Zeros, words_of
from mpisign.aggregation.server_base import SEND_WEAK, Combination, Unsent
from mpisign.aggregation.server_base import Server as Server
from mpisign.arrays import Real, Words
from mpisign.rng import RandomStreams, Stream


class MeanServer(Server):
    """The server of dense gradients: the reply is their mean, and the mean of their numbers."""

    def __init__(
        self,
        exchange_factory: ExchangeFactory,
        workers: int,
        dimension: int,
        zeros: Zeros,
        streams: RandomStreams,
        real: Real = np.float64,
    ):
        width = words_of(dimension, real)
        super().__init__(exchange_factory(workers, Format(1, width, width)))
        rows = self._exchange.table[: len(self.hosted), : 1 + width]
        self._messages = [DenseMessage(row, dimension, real) for row in rows]
        self.reply, self._real = DenseMessage(self._exchange.reply, dimension, real), real

    def _aggregate(self) -> None:
        self._gather(self._exchange)
        if self._exchange.is_reducer:
            rows, reply = self._exchange.rows, self._exchange.reduced_slice
            mean_row(rows.view(self._real), reply.view(self._real))
            if self._real is not np.float64:  # the header is one
                mean_row(rows[:, :1].copy().view(np.float64), reply[:1].view(np.float64))
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
        real: Real = np.float64,
    ):
        form, nonnegative_form = self._formats(dimension, real)
        sent = zeros == "exact"
        super().__init__(exchange_factory(workers, form._replace(tables=1 + sent)))
        # Planned at once, although no zero may ever come: all ranks have to plan a collective together.
        self._nonnegative_exchange = (
            exchange_factory(workers, nonnegative_form._replace(tables=0))
            if sent
            else Unsent(self._exchange, nonnegative_form)
        )
        self._dimension, self._zeros, self._streams = dimension, zeros, streams
        own = zip(self._exchange.table, self._nonnegative_exchange.table, self.hosted, strict=False)
        self._messages: list[SignMessage] = [
            self._sign_message(row[: 1 + form.up], plane[: form.up], Stream.ZERO_SIGN, worker)
            for row, plane, worker in own
        ]
        self._make_reply(real)

    @staticmethod
    @abstractmethod
    def _formats(dimension: int, real: Real) -> tuple[Format, Format]:
        """Return the format of rows and reply, and that of the nonnegative planes."""

    @abstractmethod
    def _make_reply(self, real: Real) -> None:
        """Place the reply, and this rank's part of it, in the exchange's words."""

    def _sign_message(
        self, row: Words, nonnegative: Words, purpose: Stream, worker: int, start: int = 0
    ) -> SignMessage:
        """Return a message on these words; start: where its planes begin in the whole ones."""
        stop = start + len(row) - 1
        return SignMessage(
            self._dimension, row, nonnegative, self._zeros, lambda: self._coin(purpose, worker, start, stop)
        )

    def _coin(self, purpose: Stream, worker: int, start: int, stop: int) -> Words:
        """Return the words start, ..., stop - 1 of the coin at this iteration."""
        generator = self._streams.generator(purpose, worker, self.k)
        # A block of Philox is four words: it goes past whole ones without drawing them.
        before = start % 4
        generator.bit_generator.advance(start // 4)  # type: ignore[attr-defined]
        return generator.integers(0, 2**64, size=before + stop - start, dtype=np.uint64)[before:]

    def _aggregate(self) -> None:
        exchange, ties = self._exchange, 0
        self._gather(exchange)
        if exchange.is_reducer:
            mean, someone_has_zeros = mean_number(exchange.numbers, self.quadratic)
            if someone_has_zeros:
                exchange.reduced_slice[0] = SEND_WEAK
            else:
                ties = self._combine(mean, None)
        self.reply.ties = self._broadcast(exchange, ties)
        # Every rank holds the same reply: all of them come to the second round, or none.
        if exchange.reply.item(0) == SEND_WEAK:
            self._aggregate_with_nonnegative_planes()

    @override
    def count(self, rounds: int, with_planes: int = 0, tied: int = 0) -> None:
        super().count(rounds, with_planes, tied)
        self.bits_up += with_planes * self._nonnegative_exchange.bits_up
        self.bits_down += tied * self._nonnegative_exchange.bits_down

    @property
    @override
    def exchanges(self) -> tuple[Exchange, Exchange | None]:
        return self._exchange, self._nonnegative_exchange

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

    @staticmethod
    @override
    def _formats(dimension: int, real: Real) -> tuple[Format, Format]:
        width = bitplanes.words(dimension)
        return Format(1, width, width, ballots=True), Format(0, width, width, ballots=True)

    @override
    def _make_reply(self, real: Real) -> None:
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

    @staticmethod
    @override
    def _formats(dimension: int, real: Real) -> tuple[Format, Format]:
        width = bitplanes.words(dimension)
        form = Format(1, width, words_of(dimension, real), reply_words_per_word=words_of(64, real))
        return form, Format(0, width, 0)

    @override
    def _make_reply(self, real: Real) -> None:
        slice_ = self._exchange.reduced_slice
        self.reply = DenseMessage(self._exchange.reply, self._dimension, real)
        self._part = DenseMessage(slice_, (len(slice_) - 1) * 64 // words_of(64, real), real)

    def _combine(self, mean: float, nonnegative_exchange: Exchange | None) -> int:
        exchange, planes = self._exchange, self._nonnegative_exchange.rows
        mean_signs(exchange.numbers, exchange.rows, planes, self._part.vector)
        self._part.number = mean
        return 0


SERVERS: dict[str, type[MeanServer] | type[VoteServer] | type[ScaledSignServer]] = {
    "dense": MeanServer,
    "signs": VoteServer,
    "scaled-signs": ScaledSignServer,
}
"""The server that combines a method's messages, by their kind."""


def plan_server(
    method: Combination,
    workers: int,
    dimension: int,
    exchange_factory: ExchangeFactory,
    streams: RandomStreams,
    real: Real = np.float64,
) -> Server:
    """Return the server of a method's messages of so many workers, for one repeat; every rank calls it.

    real: What dense messages and replies consist of.
    """
    server = SERVERS[method.message](exchange_factory, workers, dimension, method.zeros, streams, real)
    server.quadratic = method.quadratic
    return server
