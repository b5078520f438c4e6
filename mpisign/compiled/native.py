"""Call functions of a C library from compiled code, by their addresses."""

from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from mpisign.arrays import Indices
from mpisign.jit import part_of_kernels, sleep_briefly, yield_core

WORDS = 10
"""Of a call: the function's address, up to eight arguments, integers or addresses, and the address of an int: until
that is not 0 the call is made again and again; 0 for a call that is made once."""

_LOOKS, _LOOKS_A_YIELD = 20000, 16
"""How often a call is repeated before the core is given away for a while, and before it is offered to others: a look
takes some 50 nanoseconds. Without the offers, ranks that wait keep the cores of those that work."""
_SHORTEST, _LONGEST = 20, 1000
"""Microseconds of sleep between two looks, one more each time: a few hundredths of what was waited for already."""


NO_CALLS: Indices = np.zeros((0, WORDS), dtype=np.int64)
"""What one process calls."""


def _call(typing_context: Any, calls: Any, index: Any) -> Any:
    """Return what numba's compiler puts where compiled code calls `_c_call`."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        """Generate the call of calls[index]; it returns what the function does, an int.

        Where a function takes fewer arguments or ints of 32 bits, the rest of the registers is not looked at.
        """
        word, number = ir.IntType(64), ir.IntType(32)
        found = _row(context, builder, signature, given)
        kind = ir.FunctionType(number, [word] * (WORDS - 2))
        code = builder.call(builder.inttoptr(found[0], kind.as_pointer()), found[1:-1])
        return builder.sext(code, word)

    return types.int64(calls, types.int64), generate


def _finished(typing_context: Any, calls: Any, index: Any) -> Any:
    """Return what numba's compiler puts where compiled code calls `_is_finished`."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        """Generate whether calls[index] need not be made again: its last word is 0, or leads to an int that is not."""
        word, number = ir.IntType(64), ir.IntType(32)
        flag = _row(context, builder, signature, given)[-1]
        none = builder.icmp_unsigned("==", flag, ir.Constant(word, 0))
        with builder.if_else(none) as (once, again):
            with once:
                first = builder.block
            with again:
                found = builder.load(builder.inttoptr(flag, number.as_pointer()))
                is_set = builder.icmp_unsigned("!=", found, ir.Constant(number, 0))
                second = builder.block
        answer = builder.phi(ir.IntType(1))
        answer.add_incoming(ir.Constant(ir.IntType(1), 1), first)
        answer.add_incoming(is_set, second)
        return answer

    return types.boolean(calls, types.int64), generate


def _row(context: Any, builder: Any, signature: Any, given: Any) -> list[Any]:
    """Generate the words of calls[index]."""
    word = ir.IntType(64)
    view = context.make_array(signature.args[0])(context, builder, given[0])
    row = builder.gep(view.data, [builder.mul(given[1], ir.Constant(word, WORDS))])
    return [builder.load(builder.gep(row, [ir.Constant(word, i)])) for i in range(WORDS)]


_c_call: Any = cast(Any, intrinsic)(_call)
_is_finished: Any = cast(Any, intrinsic)(_finished)


@part_of_kernels
def _wait_a_moment(looks: int) -> None:
    """Do between two looks what lets others work: little at first, so that a short wait stays short."""
    if looks > _LOOKS:
        sleep_briefly(min(looks - _LOOKS + _SHORTEST, _LONGEST))
    elif looks % _LOOKS_A_YIELD == 0:
        yield_core()


def make_calls(calls: Indices) -> int:
    """Call every row of `calls`, int64, shape (n, 10), one after the other; return the first code that is not 0."""
    for i in range(calls.shape[0]):
        code, looks = _c_call(calls, i), 0
        while code == 0 and not _is_finished(calls, i):
            looks += 1
            _wait_a_moment(looks)
            code = _c_call(calls, i)
        if code != 0:
            return int(code)
    return 0


run_calls = part_of_kernels(make_calls)
"""The same, for compiled code."""
