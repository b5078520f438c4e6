"""Compile a function once for fixed types, keep it on disk, and call it by its address from other compiled code.

A routine that calls others by address need not be compiled again when they change: of n methods and m oracles n + m
routines are compiled, not n m.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import types
from numba.extending import intrinsic

from mpisign import jit
from mpisign.compiled.parameters import tuple_of
from mpisign.compiled.text import named


def compiled(function: Callable[..., Any], key: str = "") -> Any:
    """Return a function that compiled code can call; it is compiled where it is called, and made once a process.

    Args:
        function: A plain function, a closure, or a kernel, which is returned as it is.
        key: What tells a closure from others of its name; see `_rename`.
    """
    if hasattr(function, "py_func"):
        return function
    identity = _identity(function)
    if identity not in _called:
        if key:
            _rename(function, hashlib.sha256(key.encode()).hexdigest())
        _called[identity] = numba.njit(nogil=True)(function)
    return _called[identity]


def _identity(function: Any) -> tuple[int, ...]:
    """Return what two functions have in common that do the same: their code, and all that they hold."""
    held = [cell.cell_contents for cell in function.__closure__ or ()]
    return tuple(map(id, (function.__code__, *held, *(function.__defaults__ or ()))))


def _rename(function: Callable[..., Any], digest: str) -> None:
    """Give a closure a name of its own.

    Numba numbers the functions of a process. Two closures of one name and one number, compiled in two processes and
    loaded by a third, would be one symbol there, and one of them would be called for the other.
    """
    function.__qualname__ = f"{function.__qualname__}_{digest[:24]}"


_called: dict[tuple[int, ...], Any] = {}
"""What routines call, by `_identity`: numba takes a function's code out of memory with the function."""


class NotOnDisk(Exception):
    """A routine that was only to be loaded is not there."""


class Budget:
    """How many routines may be compiled, which takes about a second each.

    Args:
        count: So many; 0 to load them only.
    """

    def __init__(self, count: int):
        self._left = count

    def spend(self, name: str) -> None:
        """Take one away.

        Raises:
            NotOnDisk: There is none left.
        """
        if not self._left:
            raise NotOnDisk(name)
        self._left -= 1


def routine(function: Callable[..., Any], arguments: tuple[Any, ...], key: Sequence[object], budget: Budget) -> Any:
    """Load a function of these types from the disk, or compile it.

    What holds a function from elsewhere is compiled in each process and not kept: what that one calls, and the numbers
    that it reads, may be others tomorrow, in files that nobody looks at here.

    Args:
        function: It may be a closure over other compiled functions.
        arguments: Their types.
        key: What it is made of, besides its own text: functions, types, numbers.
        budget: How many may be compiled.

    Raises:
        NotOnDisk: It is not there, and none may be compiled.
    """
    digest = _digest([function, arguments, *key])
    if digest not in _made:
        _rename(function, digest)
        dispatcher: Any = numba.njit(nogil=True)(function)
        if all(map(_ours, key)):
            dispatcher._cache = jit.cache_of(function, digest)
        if not jit.is_kept(dispatcher, arguments):
            budget.spend(str(function))
        jit.compile_in_turn(dispatcher, arguments)
        dispatcher.disable_compile()
        _made[digest] = dispatcher
    return _made[digest]


_made: dict[str, Any] = {}
"""The routines of this process, by their digests."""


@cache
def address(dispatcher: Any) -> int:
    """Return where a routine begins in memory; it stays there as long as the process."""
    made = next(iter(dispatcher.overloads.values()))
    return int(made.library.get_pointer_to_function(made.fndesc.llvm_func_name))


def _digest(key: Iterable[object]) -> str:
    """Return a hash of what a routine is made of and of this package; a function from elsewhere is taken as it is."""
    digest = hashlib.sha256(_package().encode())
    for item in key:
        code = getattr(item, "__code__", None)
        text = str(item) if code is None else named(item)
        digest.update(f"{text} {'' if _ours(item) else id(code)}\n".encode())
    return digest.hexdigest()


def _ours(item: Any) -> bool:
    """Return whether an item of a key is no function, or one of this package."""
    return not hasattr(item, "__code__") or item.__module__.partition(".")[0] == jit.__name__.partition(".")[0]


@cache
def _package() -> str:
    """Return the times and sizes of this package's files: a change of one compiles all routines anew."""
    stamps = [(path.name, path.stat()) for path in sorted(Path(jit.__file__).parent.rglob("*.py"))]
    return str([(name, stamp.st_mtime_ns, stamp.st_size) for name, stamp in stamps])


def caller(*arguments: Any) -> Any:
    """Return a function for compiled code: call(address, (a, b, ...)) calls the routine there, of these types."""

    def call(typing_context: Any, address: Any, values: Any) -> Any:
        """Return what numba's compiler puts where it is called."""

        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            """Generate the call; what the routine raises is raised there."""
            convention = context.call_conv
            kind = convention.get_function_type(types.none, arguments)
            unpacked = [builder.extract_value(given[1], i) for i in range(len(arguments))]
            pointer = builder.inttoptr(given[0], kind.as_pointer())
            status, _ = convention.call_function(builder, pointer, types.none, arguments, unpacked)
            with builder.if_then(status.is_error, likely=False):
                convention.return_status_propagate(builder, status)
            return context.get_dummy_value()

        return types.void(types.int64, tuple_of(arguments)), generate

    return intrinsic(call)
