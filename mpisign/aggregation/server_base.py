"""What all parameter servers have in common: a round of messages, and the bits that are counted for it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal, Protocol, Self

import numpy as np
from typing_extensions import override

from mpisign.aggregation.compiled_travel import NO_SIGNALS, Travel
from mpisign.aggregation.exchange import Exchange, Format
from mpisign.aggregation.messages import Message, Zeros
from mpisign.arrays import Floats, Words
from mpisign.compiled.native import NO_CALLS

SEND_WEAK = 2**64 - 1
"""The number of a reply (a NaN that no arithmetic makes) that holds no vote: it asks for the nonnegative planes."""


class Combination(Protocol):
    """What a server must know of a method: see `mpisign.algorithms.methods.Method`."""

    message: ClassVar[Literal["signs", "scaled-signs", "dense"]]
    quadratic: ClassVar[bool]

    @property
    def zeros(self) -> Zeros:
        """Return what a zero sign and a tied vote become."""


class Unsent(Exchange):
    """What stands for the exchange of nonnegative planes where none travels: each rank has those of its own workers.

    Zeros are decided before a row is sent, and ties before a reply is, by whoever has the planes.

    Args:
        exchange: that of the rows.
        form: that of the planes.
    """

    def __init__(self, exchange: Exchange, form: Format):
        super().__init__(exchange.ranks, exchange.workers, form)
        self.table = np.zeros((self.per_rank, form.up), dtype=np.uint64)
        self.reply = np.zeros(form.down, dtype=np.uint64)
        self.reduced_slice = np.zeros(len(exchange.reduced_slice) - 1 if form.down else 0, dtype=np.uint64)
        # A plane for each worker's message to have, which has none: nobody reads it.
        self.rows, self.numbers = exchange.rows, exchange.numbers
        self.is_reducer, self.slice_start = exchange.is_reducer, exchange.slice_start

    @override
    def gather(self) -> None:
        raise NotImplementedError

    @override
    def broadcast_reply(self, ties: int) -> int:
        raise NotImplementedError

    @override
    def travel(self) -> Travel | None:
        return Travel(NO_CALLS, NO_CALLS, NO_SIGNALS)

    @override
    def close(self) -> None:
        pass


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

    def of_all_workers(self, rows: Words) -> Iterable[Words]:
        """Return the rows of all workers, on the root; see `mpisign.aggregation.exchange.Exchange.of_all_workers`."""
        return self._exchange.of_all_workers(rows)

    def to_hosts(self, all_rows: Iterable[Words], rows: Words) -> None:
        """Bring rows to the workers' ranks; see `mpisign.aggregation.exchange.Exchange.to_hosts`."""
        self._exchange.to_hosts(all_rows, rows)

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

    def count(self, rounds: int, with_planes: int = 0, tied: int = 0) -> None:
        """Count the bits of rounds that were done elsewhere, in compiled code.

        Args:
            rounds: how many.
            with_planes: of these, those that the nonnegative planes came to.
            tied: of these, those whose reply had one.
        """
        self.bits_up += rounds * self._exchange.bits_up
        self.bits_down += (rounds + with_planes) * self._exchange.bits_down

    @property
    def exchanges(self) -> tuple[Exchange, Exchange | None]:
        """Return the exchange of rows, and that of nonnegative planes where there is one."""
        return self._exchange, None

    @property
    def steps_alone(self) -> bool:
        """Return whether each rank steps an x of its own."""
        return self._stepping is None or self._stepping is self.reply

    @abstractmethod
    def _aggregate(self) -> None:
        """Collect the messages and combine them; `reply` holds the reply after it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self._exchange.close()
