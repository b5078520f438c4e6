"""Arrays that the ranks of one machine hold once.

Whoever opens a data set says what arrays it has and how they are filled; whoever shares them decides where
they live: in this process (`unshared`), or in a window of memory that a node's ranks have in common
(`mpisign.comm.mpi`). Only one rank of a node opens and fills.
"""

import itertools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from mpisign.arrays import Words

Arrays: TypeAlias = dict[str, np.ndarray[Any, Any]]

Layout: TypeAlias = dict[str, tuple[tuple[int, ...], np.dtype[Any]]]
"""The shape and the dtype of each array, by its name."""

Opened: TypeAlias = tuple[Layout, Callable[[Arrays], None]]
"""What arrays there will be, and what fills them in place."""

Share: TypeAlias = Callable[[Callable[[], Opened]], Arrays]
"""A function share(open) that returns the filled arrays, to be read only; every rank calls it.

It raises InputError on all ranks if open or fill does on one.
"""


def unshared(opening: Callable[[], Opened]) -> Arrays:
    """Return the arrays in this process's own memory."""
    layout, fill = opening()
    arrays = {name: np.empty(shape, dtype) for name, (shape, dtype) in layout.items()}
    fill(arrays)
    return arrays


def copied(arrays: Arrays) -> Opened:
    """Return arrays that are in memory already as if they had been opened."""

    def fill(out: Arrays) -> None:
        """Copy every array."""
        for name, array in arrays.items():
            out[name][...] = array

    return {name: (array.shape, array.dtype) for name, array in arrays.items()}, fill


SHARED = Path("/dev/shm")
"""Where MPI libraries on Linux keep memory that a machine's ranks have in common."""

MARGIN = 2**20
"""Bytes that are left to MPI's own messages."""


def room() -> int | None:
    """Return how many bytes are free in SHARED; None where there is no such folder.

    Beyond them a window is promised all the same, and whoever writes to it is killed: Bus error.
    """
    try:
        found = os.statvfs(SHARED)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


TO_DO = "give it more (docker run --shm-size=..., or mount -o remount,size=... /dev/shm)"
"""What to do where there is too little."""


def carve(words: Words, layout: Layout) -> Arrays:
    """Return the arrays of a layout in memory that is there."""
    parts = zip(offsets(layout)[:-1], layout.items(), strict=True)
    return {name: np.ndarray(shape, dtype, words.data, start) for start, (name, (shape, dtype)) in parts}


def offsets(layout: Layout) -> list[int]:
    """Return where each array begins, on lines of 64 bytes, and how many bytes they take together."""
    sizes = (-(-math.prod(shape) * dtype.itemsize // 64) * 64 for shape, dtype in layout.values())
    return list(itertools.accumulate(sizes, initial=0))
