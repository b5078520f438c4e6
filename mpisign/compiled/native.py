"""Call functions of a C library from compiled code, by their addresses."""

from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from mpisign.arrays import Indices
from mpisign.jit import part_of_kernels

WORDS = 9
"""Of a call: the function's address and up to eight arguments, integers or addresses."""


NO_CALLS: Indices = np.zeros((0, WORDS), dtype=np.int64)
"""What one process calls."""


def _call(typing_context: Any, calls: Any, index: Any) -> Any:
    """Return what numba's compiler puts where compiled code calls `_c_call`."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        """Generate the call of calls[index]; it returns what the function does, an int.

        Where a function takes fewer arguments or ints of 32 bits, the rest of the registers is not looked at.
        """
        word, number = ir.IntType(64), ir.IntType(32)
        view = context.make_array(signature.args[0])(context, builder, given[0])
        row = builder.gep(view.data, [builder.mul(given[1], ir.Constant(word, WORDS))])
        found = [builder.load(builder.gep(row, [ir.Constant(word, i)])) for i in range(WORDS)]
        kind = ir.FunctionType(number, [word] * (WORDS - 1))
        code = builder.call(builder.inttoptr(found[0], kind.as_pointer()), found[1:])
        return builder.sext(code, word)

    return types.int64(calls, types.int64), generate


_c_call: Any = cast(Any, intrinsic)(_call)


@part_of_kernels
def run_calls(calls: Indices) -> int:
    """Call every row of `calls`, int64, shape (n, 9), one after the other; return the first code that is not 0."""
    for i in range(calls.shape[0]):
        code = _c_call(calls, i)
        if code != 0:
            return int(code)
    return 0
