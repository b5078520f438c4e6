"""Pack signs as gradients are made, slice by slice, so that no pass over a whole gradient is left.

Where d is large a gradient goes to memory and comes back to be packed, which takes longer than its signs travel.
The bits are those of the whole one: each coordinate is made by the same operations, and sizes are added in the same
order.
"""

from typing import cast

import numpy as np

from mpisign.aggregation.messages import SignMessage
from mpisign.aggregation.server import Server
from mpisign.algorithms.methods import Method
from mpisign.algorithms.oracle_base import SLICE, Slices, Source
from mpisign.arrays import Floats, Real

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


def sliced(method: Method, slices: Slices, server: Server, real: Real) -> tuple[Method, Source]:
    """Return what stands for a method that `sends_gradients`, and a source that puts their signs into messages.

    Args:
        method: the method.
        slices: the stochastic gradients, of the workers by their places in `server`.
        server: whose messages are written.
        real: what gradients consist of.
    """
    room: Floats = np.empty(SLICE, dtype=real)

    def ask(x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
        """Write the worker's message, and nothing to `out`."""
        cast(SignMessage, server.message(worker)).put_slices(slices(x, worker, generator), room)

    return cast(Method, _AlreadyPut(method)), ask
