"""Choose the exchange of a run: the one asked for, or with "auto" the fastest of a trial on these very ranks."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from mpisign.aggregation.exchange_registry import EXCHANGES, ExchangeFactory, exchange_factory
from mpisign.aggregation.server import Server
from mpisign.comm.communicator import Communicator
from mpisign.config.validation import InputError

_TRIAL = 0.05
"""Seconds that an exchange is measured, at least, by the root's clock."""


class Choice(NamedTuple):
    """The exchange that is taken.

    Attributes:
        exchange: its name.
        why: the reason, for people.
    """

    exchange: str
    why: str


def choose(name: str, ranks: Communicator, plan: Callable[[ExchangeFactory], Server]) -> Choice:
    """Return the exchange for rounds such as those of the server that `plan` makes; every rank gets the same.

    Args:
        name: the exchange that the job asks for, or "auto".
        ranks: the ranks that exchange; every one calls this.
        plan: makes the server, of an exchange factory.
    """
    if name != "auto":
        return Choice(name, "as asked for")
    if ranks.size == 1:
        return Choice("server", "there is one process")
    seconds = {}
    for name in EXCHANGES:
        with suppress(InputError):  # on every rank: there is no room for what a node's ranks would share
            seconds[name] = _trial(ranks, plan(exchange_factory(name, ranks)))
    order = sorted(seconds, key=seconds.__getitem__)
    times = ", ".join(f"{name} {1e6 * seconds[name]:.3g}" for name in order)
    return Choice(order[0], f"microseconds a round, tried on these ranks: {times}")


def _trial(ranks: Communicator, server: Server) -> float:
    """Return the seconds of a round of empty messages, the same number on every rank.

    The rounds are doubled until they take _TRIAL seconds.
    """
    rounds = 1
    with server:
        server.aggregate()
        # Every rank has to run as many rounds: the root's clock says when they are enough.
        while (seconds := _agreed(ranks, _seconds(server, rounds))) < _TRIAL:
            rounds *= 2
    return seconds / rounds


def _seconds(server: Server, rounds: int) -> float:
    """Return the seconds of so many rounds."""
    start = time.perf_counter()
    for _ in range(rounds):
        server.aggregate()
    return time.perf_counter() - start


def _agreed(ranks: Communicator, seconds: float) -> float:
    """Return the root's seconds on every rank."""
    row = np.array([seconds])
    ranks.broadcast(row.view(np.uint64))
    return float(row[0])
