"""Pack signs as gradients are made, slice by slice, so that no pass over a whole gradient is left.

Where d is large a gradient goes to memory and comes back to be packed, which takes longer than its signs travel.
The bits are those of the whole one: each coordinate is made by the same operations, and the norms of slices are added
in their order. So it does not matter either who makes which slice: several threads do, where a rank has several cores
and any slice can be made by itself.
"""

from collections.abc import Sequence
from itertools import cycle
from typing import cast

import numpy as np

from mpisign.aggregation import bitplanes
from mpisign.aggregation.bitplanes import SLICE
from mpisign.aggregation.messages import SignMessage
from mpisign.aggregation.server import Server
from mpisign.algorithms.methods import Method
from mpisign.algorithms.oracle_base import Slices, Source
from mpisign.arrays import Floats, Real
from mpisign.config.threads import in_threads
from mpisign.problems.base import WriteSlice

FROM = 2**19
"""The d from which on it is done: a float64 vector has 4 MB there, more than most second-level caches."""


class _AlreadyPut:
    """What the loop asks of a method whose messages were put by the source."""

    def __init__(self, method: Method):
        self.query, self.step = method.query, method.step

    def encode(self, gradient: Floats, alpha: float, memory: Floats, message: object) -> None:
        """Do nothing."""


def sends_gradients(method: Method, dimension: int) -> bool:
    """Return whether a method sends the signs of its gradient as it is at x, and nothing else, and d is large."""
    plain = type(method).encode is Method.encode and type(method).query is Method.query
    return plain and method.message != "dense" and dimension >= FROM


def sliced(method: Method, slices: Slices, server: Server, real: Real, threads: int) -> tuple[Method, Source]:
    """Return what stands for a method that `sends_gradients`, and a source that puts their signs into messages.

    Args:
        method: the method.
        slices: the stochastic gradients, of the workers by their places in `server`.
        server: whose messages are written.
        real: what gradients consist of.
        threads: how many make slices at the same time; with 1 they are made in their order.
    """
    rooms: list[Floats] = [np.empty(SLICE, dtype=real) for _ in range(threads)]

    def ask(x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
        """Write the worker's message, and nothing to `out`."""
        put_slices(cast(SignMessage, server.message(worker)), slices(x, worker, generator), rooms)

    return cast(Method, _AlreadyPut(method)), ask


def put_slices(message: SignMessage, write: WriteSlice, rooms: Sequence[Floats]) -> None:
    """Do what `message.put` does with a vector that is made slice by slice, each packed while it is in the cache.

    Args:
        message: the message.
        write: write(start, out): out[:] = the coordinates from `start` on.
        rooms: of a slice each, SLICE coordinates; there are as many threads as rooms.
    """
    found: dict[int, tuple[float, bool]] = {}

    def pack(start: int, room: Floats) -> None:
        """Make a slice, and write its planes."""
        part, planes = room[: message.dimension - start], _planes(start)
        write(start, part)
        found[start] = bitplanes.pack(part, message.positive[planes])
        if found[start][1]:
            bitplanes.pack_nonnegative(part, message.nonnegative[planes])

    norm, work = 0.0, zip(range(0, message.dimension, SLICE), cycle(rooms), strict=False)
    for start, _ in in_threads(pack, work, len(rooms)):
        norm += found[start][0]
    without = [start for start, (_, zeros) in found.items() if not zeros]
    if len(without) < len(found):
        for start in without:
            message.nonnegative[_planes(start)] = message.positive[_planes(start)]
    message.apply_zero_policy(norm, len(without) < len(found))


def _planes(start: int) -> slice:
    """Return the words of a slice."""
    return slice(start // 64, (start + SLICE) // 64)
