"""Choose the exchange of a run: the one asked for, or with "auto" the fastest of a trial on these very ranks."""

import resource
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from mpisign.aggregation.exchange_registry import EXCHANGES, ExchangeFactory, exchange_factory
from mpisign.aggregation.server import Server
from mpisign.comm.communicator import Communicator
from mpisign.comm.launcher import cores
from mpisign.config.validation import InputError

_TRIAL = 0.05
"""Seconds that an exchange is measured, at least, by the root's clock."""
_OFTEN = 100.0
"""Times a second that a rank is made to leave its core from which on somebody else must want it: a hundred times what
happens on an idle machine."""


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
    seconds, clock, switches = {}, time.perf_counter(), _switches()
    for name in EXCHANGES:
        with suppress(InputError):  # on every rank: there is no room for what a node's ranks would share
            seconds[name] = _trial(ranks, plan(exchange_factory(name, ranks)))
    rate = (_switches() - switches) / (time.perf_counter() - clock)
    order = sorted(seconds, key=seconds.__getitem__)
    times = ", ".join(f"{name} {1e6 * seconds[name]:.3g}" for name in order)
    return Choice(order[0], f"microseconds a round, tried on these ranks: {times}{_crowded(ranks, rate)}")


def _switches() -> int:
    """Return how often this process was made to leave a core to another."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _crowded(ranks: Communicator, rate: float) -> str:
    """Return what has to be said of cores that others want, too; "" where they do not. Every rank calls it.

    Args:
        ranks: the ranks.
        rate: of `_switches`, a second.
    """
    rates = np.zeros((ranks.size, 1))
    collective = ranks.allgather_of(np.array([rate]).view(np.uint64), rates.view(np.uint64))
    collective.run()
    collective.free()
    if rates.max() < _OFTEN:
        return ""
    share = ranks.node.size > cores()
    return "; these ranks share cores" if share else "; other programs take the cores of these ranks now and then"


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
