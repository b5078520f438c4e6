"""Compile loops that run at memory speed: numba, set up once and used the same way everywhere.

No kernel uses fast-math: what it computes depends neither on the width of the processor's vectors nor on alignment.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir
from numba.core import caching, cgutils
from numba.extending import intrinsic, register_jitable

from mpisign import caches
from mpisign.messages import say
from mpisign.process_rank import first_process, launched

F = TypeVar("F", bound=Callable[..., object])


def kernel(*signatures: str) -> Callable[[F], F]:
    """Compile a function for exactly these types, when it is defined, and keep the results on disk."""

    def compiled(function: F) -> F:
        """Return the compiled function."""
        dispatcher: Any = numba.njit(nogil=True)(function)
        if dispatcher is not function:  # which it is with NUMBA_DISABLE_JIT
            dispatcher._cache = cache_of(function)
            for signature in signatures:
                compile_in_turn(dispatcher, signature)
            dispatcher.disable_compile()
        return cast(F, dispatcher)

    return compiled


class _Locator(caching.UserProvidedCacheLocator):
    """A place for kernels below a folder of `mpisign.caches`.

    Raises:
        FileNotFoundError: there is no such folder.
    """

    folder: Callable[[], Path | None]

    def __init__(self, function: Any, path: str):
        folder = type(self).folder()
        if folder is None:
            raise FileNotFoundError("no such folder")
        self._py_file, self._lineno = path, function.__code__.co_firstlineno
        below = self.get_suitable_cache_subpath(path)  # type: ignore[no-untyped-call]
        self._cache_path = os.path.join(folder, "kernels", below)

    @classmethod
    def from_function(cls, function: Any, path: str) -> "_Locator | None":
        try:
            locator = cls(function, path)
            locator.ensure_cache_path()  # type: ignore[no-untyped-call]
        except OSError:
            return None
        return locator


class _Own(_Locator):
    """A place below this user's cache folder."""

    folder = staticmethod(caches.own)


class _Private(_Locator):
    """A place below a private folder of TMPDIR."""

    folder = staticmethod(caches.private)


class _Places(caching.CompileResultCacheImpl):
    """The places for kernels, of which the first that can be written is taken.

    They are NUMBA_CACHE_DIR, beside the module, this user's cache folder, and a private one below TMPDIR.
    """

    _locator_classes = [caching.UserProvidedCacheLocator, caching.InTreeCacheLocator, _Own, _Private]  # noqa: RUF012


_TURN = caches.Turn(patience=120.0)
"""Of a machine's ranks one compiles a kernel, and the others find it: all at once would take each other's cores."""


def compile_in_turn(dispatcher: Any, signature: Any) -> None:
    """Load a function of these types from the disk, or compile it, when it is this rank's turn."""
    try:
        dispatcher.compile(signature)
    finally:
        _TURN.give()  # if its cache has taken it


def is_kept(dispatcher: Any, signature: tuple[Any, ...]) -> bool:
    """Return whether a function of these types is on the disk; the turn is not taken, since nothing is compiled."""
    cache = dispatcher._cache
    return isinstance(cache, _Cache) and cache.found(signature, dispatcher.targetctx) is not None


class _Cache(caching.FunctionCache):
    """Numba's cache, except that no file of it stops a command: one that cannot be read is made again."""

    _impl_class = _Places

    def load_overload(self, signature: Any, target: Any) -> Any:
        found = self.found(signature, target)
        if found is None and launched():
            _TURN.take()  # `compile_in_turn` gives it back
            found = self.found(signature, target)  # another rank may have made it meanwhile
        return found

    def found(self, signature: Any, target: Any) -> Any:
        """Return what is kept; None where nothing is, or nothing that can be read."""
        try:
            return super().load_overload(signature, target)  # type: ignore[no-untyped-call]
        except Exception:  # a cut or empty file: whatever pickle says of it
            self._quietly(self.flush)
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        save: Callable[..., object] = super().save_overload
        self._quietly(lambda: save(signature, data))

    def _quietly(self, write: Callable[[], object]) -> None:
        """Write to the cache; where that fails, say it once and go on."""
        try:
            write()
        except Exception as error:  # a full disk, a folder that is gone, a damaged index that cannot be replaced
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            _say_once(f"kernels are not kept, but compiled again at each start: {self.cache_path}: {why}")


class _KeyedCache(_Cache):
    """The same for closures, which are known by a digest of what they are made of."""

    digest = ""

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return str(sig), codegen.magic_tuple(), self.digest


def cache_of(function: Callable[..., object], digest: str | None = None) -> Any:
    """Return where the compiled function is kept; digest: what it is known by, where that is not its own code."""
    try:
        cache: Any = (_Cache if digest is None else _KeyedCache)(function)  # type: ignore[no-untyped-call]
        if digest is not None:
            cache.digest = digest
        return cache
    except RuntimeError:  # "no locator available"
        places = "no folder for them can be written; set NUMBA_CACHE_DIR to one"
        _say_once(f"kernels are not kept, but compiled again at each start: {places}")
        return caching.NullCache()


_said: list[str] = []


def _say_once(line: str) -> None:
    """Print the line on the first rank, unless a kernel had something to say before."""
    if not _said and first_process():
        say(line)
    _said.append(line)


def part_of_kernels(function: F) -> F:
    """Return a function that kernels call, written into each where it is called.

    Left to the compiler, a kernel that is loaded from disk would call a slower version of it.
    """
    return cast(F, numba.njit(inline="always")(function))


def for_both(signature: str) -> tuple[str, str]:
    """Return a signature of float64 arrays, and the same of float32 arrays; numbers are float64 in both."""
    return signature, signature.replace("float64[", "float32[")


def also_in_kernels(function: F) -> F:
    """Return a function that runs as it is, and that kernels can call."""
    made: F = register_jitable(function)
    return made


def _item(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Return the address of array[index]."""
    view = context.make_array(kind)(context, builder, array)
    return cgutils.get_item_pointer(context, builder, kind, view, [index])  # type: ignore[no-untyped-call]


def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Return what numba's compiler puts where a kernel calls `prefetch`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        """Generate LLVM's prefetch of array[index]."""
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
    """Return POSIX's function of that name, of the semaphore at words[index], for kernels.

    It returns what POSIX's does.
    """

    def call(typing_context: Any, words: Any, index: Any) -> Any:
        """Return what numba's compiler puts where a kernel calls it."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            """Generate the call of POSIX's function."""
            address = builder.bitcast(_item(context, builder, signature.args[0], *arguments), cgutils.voidptr_t)
            kind_of_call = ir.FunctionType(ir.IntType(32), [cgutils.voidptr_t])
            function = cgutils.get_or_insert_function(builder.module, kind_of_call, name)  # type: ignore[no-untyped-call]
            return builder.call(function, [address])

        return numba.int32(words, numba.int64), generate

    return cast(Callable[[Any, int], int], intrinsic(call))


def _system(name: str, *arguments: Any) -> Any:
    """Return POSIX's function of that name, of numbers of 32 bits, for kernels; what it returns is not looked at."""
    kinds = [ir.IntType(32)] * len(arguments)

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        """Generate the call."""
        kind_of_call = ir.FunctionType(ir.IntType(32), kinds)
        function = cgutils.get_or_insert_function(builder.module, kind_of_call, name)  # type: ignore[no-untyped-call]
        builder.call(function, [builder.trunc(value, kind) for value, kind in zip(given, kinds, strict=True)])
        return context.get_dummy_value()

    return numba.void(*arguments), generate


def _yield_core(typing_context: Any) -> Any:
    """Return what numba's compiler puts where a kernel calls `yield_core`."""
    return _system("sched_yield")


def _sleep_briefly(typing_context: Any, microseconds: Any) -> Any:
    """Return what numba's compiler puts where a kernel calls `sleep_briefly`."""
    return _system("usleep", numba.int64)


yield_core = cast(Callable[[], None], intrinsic(_yield_core))
"""yield_core(), in a kernel: another process that is ready may have this core now (POSIX sched_yield)."""

sleep_briefly = cast(Callable[[int], None], intrinsic(_sleep_briefly))
"""sleep_briefly(microseconds), in a kernel: other processes have this core for so long, or a little longer."""

sem_post, sem_wait, sem_trywait = (_semaphore(name) for name in ("sem_post", "sem_wait", "sem_trywait"))
"""sem_post(words, index), ...: 0, or -1: a signal came, or with sem_trywait there is nothing to take."""
