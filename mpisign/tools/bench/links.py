"""Count the bytes that a round's messages take on the link of every host, and time them, on the ranks at hand.

The kernel counts what passes a network interface, headers and all. What the
barriers about the rounds take is counted without the rounds, and subtracted.
"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from mpisign.aggregation.exchange_registry import EXCHANGES
from mpisign.comm.communicator import Communicator
from mpisign.config.validation import InputError
from mpisign.tools.bench.rounds import BARE, DENSE, bare
from mpisign.tools.bench.timing import Effort, Traffic

INTERFACE = "eth0"
"""The interface that is counted, on every host."""

_ROUNDS = 3
_PAUSE = 0.05
"""Seconds until what is on its way has come, an acknowledgement for instance, and until links may send a burst."""


def links(ranks: Communicator, effort: Effort) -> Iterator[Traffic]:
    """Yield the traffic of a round by each exchange, and of a dense Allreduce; collective.

    Raises:
        InputError: If a host has no such interface.
    """
    ranks.raise_collectively(counters)
    for dimension in effort.dimensions:
        with ExitStack() as stack:
            calls: dict[tuple[str, str], Callable[[], object]] = {
                (BARE, name): bare(ranks, name, dimension, stack) for name in EXCHANGES
            }
            calls[DENSE[0], ""] = _allreduce(dimension)
            for (what, exchange), call in calls.items():
                yield _traffic(ranks, what, exchange, dimension, call)


def counters() -> tuple[int, int]:
    """Return the bytes that the interface of this host has sent and received.

    Raises:
        InputError: If there is no such interface.
    """
    path = Path("/proc/net/dev")  # of this process's namespace
    text = path.read_text() if path.exists() else ""
    rows = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    words = {name.strip(): row.split() for name, row in rows.items()}.get(INTERFACE)
    if words is None:
        raise InputError("--only", f"expected an interface {INTERFACE} on every host; {socket.gethostname()} has none")
    return int(words[8]), int(words[0])


def _allreduce(dimension: int) -> Callable[[], object]:
    """Return a call of a sum of float32."""
    from mpi4py import MPI

    single = np.zeros((2, dimension), dtype=np.float32)
    return lambda: MPI.COMM_WORLD.Allreduce(single[0], single[1])


def _traffic(ranks: Communicator, what: str, exchange: str, dimension: int, call: Callable[[], object]) -> Traffic:
    """Return the bytes and the seconds of a call, on every host."""
    from mpi4py import MPI

    call()  # connects the ranks that it needs
    around, _ = _counted(lambda: None)
    counted, seconds = _counted(call)
    of_hosts = MPI.COMM_WORLD.allgather((counted - around).tolist() if ranks.node.root else None)
    sent, received = zip(*(each for each in of_hosts if each is not None), strict=True)
    return Traffic(what, exchange, ranks.size, dimension, list(sent), list(received), seconds)


def _counted(call: Callable[[], object]) -> tuple[np.ndarray, list[float]]:
    """Return the fewest bytes that this host sent and received in a round, and each one's seconds on the slowest rank.

    The fewest are those of a round in which nothing was sent again.
    """
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    counted, seconds = [], []
    for _ in range(_ROUNDS):
        world.Barrier()
        before = np.array(counters())
        time.sleep(_PAUSE)  # the counters are read before anyone goes on
        world.Barrier()
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
        world.Barrier()
        time.sleep(_PAUSE)
        counted.append(np.array(counters()) - before)
    return np.min(counted, axis=0), [float(world.allreduce(each, MPI.MAX)) for each in seconds]
