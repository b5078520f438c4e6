"""What the methods of AdaGrad-Norm's family share: a sum of squares b^2 that leaves float64's range at neither end."""

import math

import numpy as np

from mpisign.aggregation.messages import Message
from mpisign.arrays import Floats
from mpisign.jit import also_in_kernels


@also_in_kernels
def unit(size: float) -> float:
    """Return the power of 2 that numbers of this size are divided by before they are squared: 1 where squares fit."""
    return 1.0 if size == 0 or 1e-120 < size < 1e120 else math.ldexp(1.0, max(math.frexp(size)[1], -1021))


def squares_of(b0: float) -> Floats:
    """Return what all ranks keep of b: (b / unit)^2 and the unit."""
    scale = unit(b0)
    return np.array([(b0 / scale) * (b0 / scale), scale])


@also_in_kernels
def common_unit(shared: Floats, size: float) -> float:
    """Return the unit in which b^2 and what is added to it are squared; size: about that of what is added to b."""
    scale = unit(size)
    if shared[0] > 0 and (size == 0 or shared[1] > scale):
        return float(shared[1])
    return scale


@also_in_kernels
def step_over_b(x: Floats, alpha: float, reply: Message, shared: Floats, scale: float, added: float) -> None:
    """Step b^2 <- b^2 + squares, x <- x - (alpha / b) reply, at any size of b that float64 has.

    Args:
        x: The iterate, changed in place.
        alpha: The step size.
        reply: The direction.
        shared: (b / unit)^2 and the unit, changed in place.
        scale: The unit from now on, `common_unit`.
        added: The squares over scale^2.
    """
    ratio = float(shared[1]) / scale
    shared[0], shared[1] = shared[0] * ratio * ratio + added, scale
    if shared[0] > 0:
        reply.subtract_from(x, alpha / math.sqrt(shared[0]) / scale)
