"""MPI's collectives as calls of its C functions, which compiled code makes: see `mpisign.compiled.native`.

The functions are those of the library that mpi4py has loaded. Handles are integers in MPICH, and pointers in Open MPI.
"""

import ctypes
from functools import cache
from typing import Any

import numpy as np

from mpisign.arrays import Indices, Words
from mpisign.compiled.native import WORDS, make_calls
from mpisign.jit import kernel

_STATUS: Indices = np.zeros(32, dtype=np.int64)
"""Room for a status, which nobody reads."""
_FLAG: Indices = np.zeros(1, dtype=np.int64)
"""Where MPI says whether what is waited for has come: one thread makes the calls, one after the other."""


@cache
def _function(library: str, name: str) -> int:
    """Return the address of a C function of MPI."""
    found = getattr(ctypes.CDLL(library), name)
    return ctypes.cast(found, ctypes.c_void_p).value or 0


def _row(mpi: Any, name: str, *arguments: int, flag: int = 0) -> list[int]:
    """Return a call of a function of MPI; flag: of an int, until which is not 0 it is made again; 0 for once."""
    padded = [_function(mpi.__file__, name), *arguments] + [0] * WORDS
    return [*padded[: WORDS - 1], flag]


def _words(calls: list[list[int]]) -> Indices:
    """Return calls as words; addresses may be above 2^63, and MPI's constants below 0."""
    return np.array([[number % 2**64 for number in call] for call in calls], dtype=np.uint64).view(np.int64)


def _buffer(mpi: Any, given: Any, parts: int = 1) -> list[int]:
    """Return address, count and datatype of a buffer, which is cut into so many parts."""
    if given is None:
        return [0, 0, int(mpi._handleof(mpi.UINT64_T))]
    if given is mpi.IN_PLACE:
        return [int(mpi.IN_PLACE), 0, int(mpi._handleof(mpi.UINT64_T))]
    buffer, datatype = given
    return [buffer.address, buffer.nbytes // 8 // parts, int(mpi._handleof(datatype))]


def blocks(mpi: Any, words: Words, size: int) -> tuple[Any, list[int], Any]:
    """Return words[r] for each rank r of `size` as MPI takes them: nothing for the ranks from len(words) on."""
    counts = [words[r].size if r < len(words) else 0 for r in range(size)]
    return mpi.buffer(words.view(np.uint8)), counts, mpi.UINT64_T


def blocking(mpi: Any, communicator: Any, name: str, arguments: tuple[Any, ...]) -> Indices | None:
    """Return a Gather or a Bcast with mpi4py's arguments; None for others, and for more words than MPI counts."""
    if name not in ("Bcast", "Gather"):
        return None
    handle, sent = int(mpi._handleof(communicator)), _buffer(mpi, arguments[0])
    received = _buffer(mpi, arguments[1], communicator.size) if name == "Gather" else [0, 0, 0]
    if max(sent[1], received[1]) >= 2**31:
        return None
    others = [*received, arguments[2]] if name == "Gather" else [arguments[1]]
    return _words([_row(mpi, f"MPI_{name}", *sent, *others, handle)])


def persistent(mpi: Any, request: Any) -> Indices:
    """Return the start of a persistent request, and looks until it is finished."""
    return _words([_row(mpi, "MPI_Start", mpi._addressof(request)), _looks(mpi, request)])


def waiting(mpi: Any, request: Any) -> Indices:
    """Return looks until a request is finished."""
    return _words([_looks(mpi, request)])


def _looks(mpi: Any, request: Any) -> list[int]:
    """Return the call that looks at a request until it is finished.

    MPI's own wait would keep the core of a rank that works, or give away its own too late.
    """
    flag = _FLAG.ctypes.data
    return _row(mpi, "MPI_Test", mpi._addressof(request), flag, _STATUS.ctypes.data, flag=flag)


run = kernel("int64(int64[:,::1])")(make_calls)
"""Make calls from the interpreter; return the first code that is not 0, or 0."""
