"""Arrays that the ranks of one machine hold once.

Whoever opens a data set says what arrays it has and how they are filled; whoever shares them decides where
they live: in this process (`unshared`), or in a window of memory that a node's ranks have in common
(`mpisign.comm.mpi`). Only one rank of a node opens and fills.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

Arrays: TypeAlias = dict[str, np.ndarray[Any, Any]]

Layout: TypeAlias = dict[str, tuple[tuple[int, ...], np.dtype[Any]]]
"""name -> (shape, dtype)."""

Opened: TypeAlias = tuple[Layout, Callable[[Arrays], None]]
"""What arrays there will be, and what fills them in place."""

Share: TypeAlias = Callable[[Callable[[], Opened]], Arrays]
"""share(open) gives the filled arrays, to be read only; every rank calls it. Raises InputError on all ranks if open or
fill does on one."""


def unshared(opening: Callable[[], Opened]) -> Arrays:
    """The arrays in this process's own memory."""
    layout, fill = opening()
    arrays = {name: np.empty(shape, dtype) for name, (shape, dtype) in layout.items()}
    fill(arrays)
    return arrays


def copied(arrays: Arrays) -> Opened:
    """Arrays that are in memory already, opened."""

    def fill(out: Arrays) -> None:
        for name, array in arrays.items():
            out[name][...] = array

    return {name: (array.shape, array.dtype) for name, array in arrays.items()}, fill


SHARED = Path("/dev/shm")
"""Where MPI libraries on Linux keep memory that a machine's ranks have in common."""

MARGIN = 2**20
"""Bytes that are left to MPI's own messages."""


def room() -> int | None:
    """Bytes that are free there; None where there is no such folder.

    Beyond them a window is promised all the same, and whoever writes to it is killed: Bus error.
    """
    try:
        found = os.statvfs(SHARED)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


TO_DO = "give it more (docker run --shm-size=..., or mount -o remount,size=... /dev/shm)"
"""What to do where there is too little."""
