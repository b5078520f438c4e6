"""Loops at memory speed: numba, set up once and used the same way everywhere.

No kernel uses fast-math: what it computes depends neither on the width of the processor's vectors nor on alignment.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., object])


def kernel(signature: str) -> Callable[[F], F]:
    """Compile a function for exactly these types, when it is defined, and keep the result on disk."""
    return cast(Callable[[F], F], numba.njit(signature, cache=True, nogil=True))


def part_of_kernels(function: F) -> F:
    """A function that kernels call, written into each where it is called.

    Left to the compiler, a kernel that is loaded from disk would call a slower version of it.
    """
    return cast(F, numba.njit(inline="always")(function))


def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """What numba's compiler puts where a kernel calls `prefetch`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        view = context.make_array(kind)(context, builder, arguments[0])
        item = cgutils.get_item_pointer(context, builder, kind, view, [arguments[1]])  # type: ignore[no-untyped-call]
        address, number = builder.bitcast(item, cgutils.voidptr_t), ir.IntType(32)
        kind_of_call = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        name = "llvm.prefetch.p0i8"
        call = cgutils.get_or_insert_function(builder.module, kind_of_call, name)  # type: ignore[no-untyped-call]
        builder.call(call, [address, number(0), number(2), number(1)])  # to read, to the second cache, data
        return context.get_dummy_value()

    return numba.void(array, numba.int64), generate


prefetch = cast(Callable[[Any, int], None], intrinsic(_prefetch))
"""prefetch(array, index), in a kernel: ask for array[index], one-dimensional, to be brought to the second-level
cache, without waiting for it. Further up, it would wait for the loads of the moment.

The index may lie beyond the end: nothing is read."""
