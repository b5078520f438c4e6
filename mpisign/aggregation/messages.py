"""What travels: one contiguous row per message, a 64-bit number in front and the payload behind it.

Two forms. `SignMessage`: a sign a coordinate, packed. `DenseMessage`: float64 or float32 coordinates. A worker's
message and the server's reply have one of them, so whoever holds one can do the same things with it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from typing_extensions import override

from mpisign.aggregation import bitplanes
from mpisign.arrays import Floats, Real, Signs, Words
from mpisign.fixed_order import peak, squares
from mpisign.jit import for_both, kernel

Zeros: TypeAlias = Literal["exact", "coin", "plus"]
"""What a zero sign and a tied vote become.

"exact": zero, as in the paper (a second plane travels when it is needed); "coin": a keyed fair coin decides, which has
the same expectation; "plus": +1.
"""


def words_of(dimension: int, real: Real) -> int:
    """Return how many words so many coordinates take."""
    return -(-dimension * np.dtype(real).itemsize // 8)


WordRange: TypeAlias = tuple[int, int] | None
"""Words first, ..., stop - 1 of a plane, which are the coordinates from 64 first on, before 64 stop; None: all."""


class Message(ABC):
    """A vector and a number >= 0, as views of a row that is about to travel or has just arrived.

    Attributes:
        ties: of a vote, on the root: the coordinates where the workers' signs added up to zero.
    """

    ties: int = 0

    @property
    @abstractmethod
    def number(self) -> float:
        """Return the number in front: by default the l1 norm of what was put, in a reply the mean, M_k.

        It can be set.
        """

    @number.setter
    @abstractmethod
    def number(self, number: float) -> None: ...

    @abstractmethod
    def put(self, vector: Floats, number: float | None = None) -> None:
        """Write `vector`, shape (d,), and `number` (default: its l1 norm) into the row."""

    @abstractmethod
    def subtract_from(self, x: Floats, c: float, share: WordRange = None) -> None:
        """Subtract c times the vector that is held from x in place, shape (d,); of a share, only those coordinates."""

    @abstractmethod
    def squares(self, unit: float = 1.0) -> float:
        """Return the squared 2-norm of the vector that is held, over unit^2; of signs, how many are not 0."""

    @abstractmethod
    def peak(self) -> float:
        """Return the largest size of a coordinate of the vector that is held, of signs 1."""

    @abstractmethod
    def signs(self, out: Signs) -> None:
        """Write the signs of the vector that is held to `out`, int8, shape (d,)."""


class SignMessage(Message):
    """A message of signs, one bit a coordinate: sign = 2 [v > 0] - 1, or [v > 0] + [v >= 0] - 1 when some are zero.

    Args:
        dimension: d.
        row: uint64, shape (1 + W,), W = ceil(d / 64): the number, then the positive plane [v > 0]. A norm's sign bit is
            free, so it says whether the nonnegative plane [v >= 0] differs and has to be asked for.
        nonnegative: uint64, shape (W,), the nonnegative plane; its content counts only when `ternary` is true.
        zeros: what zeros become.
        coin: gives W random words; used by the policy "coin" alone, and only when there is a zero.
    """

    def __init__(self, dimension: int, row: Words, nonnegative: Words, zeros: Zeros, coin: Callable[[], Words]):
        self._number, self._number_bits = row[:1].view(np.float64), row[:1].view(np.int64)
        self.positive, self.nonnegative = row[1:], nonnegative
        self.dimension, self._zeros, self._coin = dimension, zeros, coin

    @property
    @override
    def number(self) -> float:
        return abs(self._number.item())

    @number.setter
    def number(self, number: float) -> None:
        self._number[0] = math.copysign(number, self._number.item())

    @property
    def ternary(self) -> bool:
        """Return whether some sign is zero, so that the nonnegative plane is part of the message."""
        return self._number_bits.item() < 0

    @override
    def put(self, vector: Floats, number: float | None = None) -> None:
        norm, has_zeros = bitplanes.pack(vector, self.positive)
        if number is None:
            number = norm
        if has_zeros:
            # A second pass over the vector, which those without zeros are spared.
            bitplanes.pack_nonnegative(vector, self.nonnegative)
            self.apply_zero_policy(number, has_zeros)
        else:
            self._number[0] = number

    def apply_zero_policy(self, number: float, has_zeros: bool) -> None:
        """Write the number, and let the zeros policy decide what becomes of the zeros in the planes."""
        if has_zeros and self._zeros == "coin":
            bitplanes.resolve_zeros_by_coin(self.positive, self.nonnegative, self._coin())
        elif has_zeros and self._zeros == "plus":
            self.positive[:] = self.nonnegative
        ternary = has_zeros and self._zeros == "exact"
        self._number[0] = math.copysign(number, -1.0 if ternary else 1.0)

    @override
    def subtract_from(self, x: Floats, c: float, share: WordRange = None) -> None:
        positive, nonnegative = self.positive, self.nonnegative
        if share is not None:
            x, positive, nonnegative = (
                x[64 * share[0] : 64 * share[1]],
                positive[slice(*share)],
                nonnegative[slice(*share)],
            )
        if self.ternary:
            bitplanes.subtract_nonnegative(x, c, positive, nonnegative)
        else:
            bitplanes.subtract(x, c, positive)

    @override
    def squares(self, unit: float = 1.0) -> float:
        zeros = bitplanes.count_zeros(self.positive, self.nonnegative) if self.ternary else 0
        return float(self.dimension - zeros) / unit / unit

    @override
    def peak(self) -> float:
        return 1.0

    @override
    def signs(self, out: Signs) -> None:
        bitplanes.unpack(self.positive, self.nonnegative if self.ternary else self.positive, out)


class DenseMessage(Message):
    """A message of coordinates.

    Args:
        row: words of 64 bits: the number, a float64, then the vector.
        dimension: d; by default as many coordinates as there is room for.
        real: what the coordinates are.
    """

    def __init__(self, row: Words | Floats, dimension: int | None = None, real: Real = np.float64):
        self._number: Floats = row[:1].view(np.float64)
        self.vector: Floats = row[1:].view(real)[:dimension]

    @property
    @override
    def number(self) -> float:
        return float(self._number[0])

    @number.setter
    def number(self, number: float) -> None:
        self._number[0] = number

    @override
    def put(self, vector: Floats, number: float | None = None) -> None:
        norm = _copy_with_norm(vector.astype(self.vector.dtype, copy=False), self.vector)
        self._number[0] = norm if number is None else number

    @override
    def subtract_from(self, x: Floats, c: float, share: WordRange = None) -> None:
        vector = self.vector
        if share is not None:
            x, vector = x[64 * share[0] : 64 * share[1]], vector[64 * share[0] : 64 * share[1]]
        _subtract_multiple(x, c, vector)

    @override
    def squares(self, unit: float = 1.0) -> float:
        return squares(self.vector, unit)

    @override
    def peak(self) -> float:
        return peak(self.vector)

    @override
    def signs(self, out: Signs) -> None:
        np.sign(self.vector, out=out, casting="unsafe")


class Shared(Message):
    """A reply to ranks that hold x in common: each takes its share of the step, and none goes on before all have.

    Args:
        reply: the reply itself.
        share: this rank's words.
        meet: waits for the other ranks.
    """

    def __init__(self, reply: Message, share: WordRange, meet: Callable[[], None]):
        self._reply, self._share, self._meet = reply, share, meet

    @property
    @override
    def number(self) -> float:
        return self._reply.number

    @number.setter
    def number(self, number: float) -> None:
        self._reply.number = number

    @property
    @override
    def ties(self) -> int:  # type: ignore[override]
        return self._reply.ties

    @override
    def put(self, vector: Floats, number: float | None = None) -> None:
        self._reply.put(vector, number)

    @override
    def subtract_from(self, x: Floats, c: float, share: WordRange = None) -> None:
        self._meet()  # somebody may still read x_k
        self._reply.subtract_from(x, c, self._share)
        self._meet()

    @override
    def squares(self, unit: float = 1.0) -> float:
        return self._reply.squares(unit)

    @override
    def peak(self) -> float:
        return self._reply.peak()

    @override
    def signs(self, out: Signs) -> None:
        self._reply.signs(out)


@kernel(*for_both("float64(float64[::1], float64[::1])"))
def _copy_with_norm(vector: Floats, out: Floats) -> float:
    """Copy the vector to `out` and return its l1 norm, added in the order of the coordinates."""
    norm = 0.0
    for i in range(len(vector)):
        out[i] = vector[i]
        norm += abs(vector[i])
    return norm


@kernel(*for_both("void(float64[::1], float64, float64[::1])"))
def _subtract_multiple(x: Floats, c: float, vector: Floats) -> None:
    """Subtract c, rounded as x is, times the vector from x in place."""
    factor = x.dtype.type(c)
    for i in range(len(x)):
        x[i] -= factor * vector[i]
