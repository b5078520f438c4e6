"""Which exchange a run takes: the one that is asked for, or with "auto" the fastest of a trial on these very ranks."""

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
    """The exchange that is taken, by its name, and why."""

    exchange: str
    why: str


def choose(name: str, ranks: Communicator, plan: Callable[[ExchangeFactory], Server]) -> Choice:
    """The exchange for rounds such as those of the server that `plan` makes; every rank calls it and gets the same."""
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
    """Seconds of a round of empty messages, the same number on every rank: of twice as many, until they take long."""
    rounds = 1
    with server:
        server.aggregate()
        while (seconds := _agreed(ranks, _seconds(server, rounds))) < _TRIAL:
            rounds *= 2
    return seconds / rounds


def _seconds(server: Server, rounds: int) -> float:
    """Of so many rounds."""
    start = time.perf_counter()
    for _ in range(rounds):
        server.aggregate()
    return time.perf_counter() - start


def _agreed(ranks: Communicator, seconds: float) -> float:
    """The root's clock for everyone."""
    row = np.array([seconds])
    ranks.broadcast(row.view(np.uint64))
    return float(row[0])
