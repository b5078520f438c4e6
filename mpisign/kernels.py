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


def _item(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """The address of array[index]."""
    view = context.make_array(kind)(context, builder, array)
    return cgutils.get_item_pointer(context, builder, kind, view, [index])  # type: ignore[no-untyped-call]


def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """What numba's compiler puts where a kernel calls `prefetch`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        item = _item(context, builder, signature.args[0], *arguments)
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


def _semaphore(name: str) -> Callable[[Any, int], int]:
    """POSIX's function of that name of the semaphore at words[index], in a kernel; returns what it returns."""

    def call(typing_context: Any, words: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            address = builder.bitcast(_item(context, builder, signature.args[0], *arguments), cgutils.voidptr_t)
            kind_of_call = ir.FunctionType(ir.IntType(32), [cgutils.voidptr_t])
            function = cgutils.get_or_insert_function(builder.module, kind_of_call, name)  # type: ignore[no-untyped-call]
            return builder.call(function, [address])

        return numba.int32(words, numba.int64), generate

    return cast(Callable[[Any, int], int], intrinsic(call))


def _yield_core(typing_context: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind_of_call = ir.FunctionType(ir.IntType(32), [])
        function = cgutils.get_or_insert_function(builder.module, kind_of_call, "sched_yield")  # type: ignore[no-untyped-call]
        builder.call(function, [])
        return context.get_dummy_value()

    return numba.void(), generate


yield_core = cast(Callable[[], None], intrinsic(_yield_core))
"""yield_core(), in a kernel: another process that is ready may have this core now (POSIX sched_yield)."""

sem_post, sem_wait, sem_trywait = (_semaphore(name) for name in ("sem_post", "sem_wait", "sem_trywait"))
"""sem_post(words, index), ...: 0, or -1: a signal came, or with sem_trywait there is nothing to take."""
