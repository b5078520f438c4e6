"""What the methods of AdaGrad-Norm's family share: a sum of squares b^2 that leaves float64's range at neither end."""

import math
from collections.abc import Callable

import numpy as np

from mpisign.aggregation.messages import Message
from mpisign.arrays import Floats


def unit(size: float) -> float:
    """Return the power of 2 that numbers of this size are divided by before they are squared: 1 where squares fit."""
    return 1.0 if size == 0 or 1e-120 < size < 1e120 else math.ldexp(1.0, max(math.frexp(size)[1], -1021))


def squares_of(b0: float) -> Floats:
    """Return what all ranks keep of b: (b / unit)^2 and the unit."""
    scale = unit(b0)
    return np.array([(b0 / scale) * (b0 / scale), scale])


def step_over_b(
    x: Floats, alpha: float, reply: Message, shared: Floats, size: float, squares_in: Callable[[float], float]
) -> None:
    """Step b^2 <- b^2 + squares, x <- x - (alpha / b) reply, at any size of b that float64 has.

    shared: (b / unit)^2 and the unit. size: about that of what is added to b. squares_in: unit -> squares / unit^2.
    """
    scale = unit(size)
    if shared[0] > 0 and (size == 0 or shared[1] > scale):
        scale = float(shared[1])
    ratio = float(shared[1]) / scale
    shared[:] = shared[0] * ratio * ratio + squares_in(scale), scale
    if shared[0] > 0:
        reply.subtract_from(x, alpha / math.sqrt(shared[0]) / scale)
