"""Hand parameters to compiled routines by one address, so that a routine's type does not depend on what it is given."""

import ctypes
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from numba.core import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from mpisign.arrays import Bytes, Words
from mpisign.compiled.views import View


def layout(value: object) -> tuple[Any, list[int]]:
    """Return numba's type of a value, and the 64-bit words of which it is made in compiled code.

    An array is a view that owns nothing: whoever keeps the words keeps the array.

    Args:
        value: A C-contiguous array, a number, a generator, a string of ASCII letters, a record, or a tuple of these.

    Raises:
        TypeError: It is nothing of these.
    """
    if isinstance(value, np.ndarray) and value.flags.c_contiguous:
        sizes = [value.size, value.itemsize, value.ctypes.data, *value.shape, *value.strides]
        return _view(value.dtype, value.ndim), [0, 0, *sizes]
    if isinstance(value, np.random.Generator):
        return types.npy_rng, _generator(value)
    if hasattr(value, "words"):  # a `mpisign.compiled.records.Record`
        kind, words = value.words()
        return kind, list(words)
    if isinstance(value, str):
        letters = _letters(value)
        return types.unicode_type, [letters.ctypes.data, letters.size - 1, 1 | 1 << 32, 2**64 - 1, 0, 0]
    if isinstance(value, bool | int | np.integer):
        return types.int64, [int(value) % 2**64]
    if isinstance(value, float):
        return types.float64, [int(np.float64(value).view(np.uint64))]
    if isinstance(value, tuple):
        parts = [layout(item) for item in value]
        named = type(value) if hasattr(value, "_fields") else None
        kind = tuple_of((kind for kind, _ in parts), named)
        return kind, [word for _, words in parts for word in words]
    raise TypeError(f"{type(value).__name__} has no compiled form")


@cache
def _letters(text: str) -> Bytes:
    """Return the letters of a string and a zero, as C has them; they are kept."""
    return np.frombuffer(text.encode("ascii") + b"\0", dtype=np.uint8)


def _generator(generator: np.random.Generator) -> list[int]:
    """Return the words of a generator: the addresses of its state and functions; what owns them is not kept."""
    c = generator.bit_generator.ctypes
    functions = [ctypes.cast(f, ctypes.c_void_p).value or 0 for f in (c.next_uint64, c.next_uint32, c.next_double)]
    return [0, c.state_address, c.state_address, *functions, int(c.bit_generator.value or 0), 0, 0]


@cache
def _view(dtype: Any, axes: int) -> View:
    """Return numba's type of an array."""
    scalars = {"f4": types.float32, "f8": types.float64, "i4": types.int32, "i8": types.int64, "u8": types.uint64}
    return View(scalars[dtype.str[1:]], axes)


def tuple_of(kinds: Iterable[Any], named: type | None = None) -> Any:
    """Return numba's type of a tuple of these types; named: its class, where its fields have names."""
    from_types: Any = types.BaseTuple.from_types
    return from_types(tuple(kinds), named)


class Block:
    """Parameters in memory.

    Attributes:
        kind: Their type.
        address: Where they are, as long as this object lives.
    """

    def __init__(self, value: object):
        self._value = value  # the arrays live as long as the words that point to them
        self.kind, words = layout(value)
        if _size(self.kind) != 8 * len(words):
            raise TypeError(f"this numba lays {self.kind} out in another way")
        self._words: Words = np.array(words or [0], dtype=np.uint64)
        self.address = self._words.ctypes.data


@cache
def _size(kind: Any) -> int:
    """Return the bytes of a value of this type in memory."""
    context = cpu_target.target_context
    return int(context.get_abi_sizeof(context.get_data_type(kind)))


@cache
def loader(kind: Any) -> Any:
    """Return a function for compiled code: load(address) -> the value of this type that a `Block` holds there."""

    def load(typing_context: Any, address: Any) -> Any:
        """Return what numba's compiler puts where it is called."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            """Generate the load."""
            pointer = builder.inttoptr(arguments[0], context.get_data_type(kind).as_pointer())
            return context.unpack_value(builder, kind, pointer)

        return kind(types.int64), generate

    return intrinsic(load)
