"""Arrays that the ranks of one machine hold once.

Whoever opens a data set says what arrays it has and how they are filled; whoever shares them decides where
they live: in this process (`unshared`), in memory that it lends to processes which it starts (`lend`), or in a
window of memory that a node's ranks have in common (`mpisign.comm.mpi`). Only one of them opens and fills.
"""

import itertools
import math
import mmap
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

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


class Lent(NamedTuple):
    """Arrays in a nameless file in memory, which a process that inherits its descriptor can map.

    Attributes:
        layout: what is in it.
        descriptor: the open file.
    """

    layout: Layout
    descriptor: int


def lend(opening: Callable[[], Opened]) -> tuple[Arrays, Lent]:
    """Return the filled arrays, and how to lend them; who lends them closes the descriptor."""
    layout, fill = opening()
    descriptor = _nameless()
    os.truncate(descriptor, max(1, offsets(layout)[-1]))
    lent = Lent(layout, descriptor)
    arrays = borrow(lent)
    fill(arrays)
    return arrays, lent


def borrow(lent: Lent) -> Arrays:
    """Return arrays that another process has filled; they are only to be read, as kernels take no read-only ones."""
    return carve(np.frombuffer(mmap.mmap(lent.descriptor, 0), dtype=np.uint8), lent.layout)


def _nameless() -> int:
    """Return the descriptor of a new file in memory, or where the system has none (macOS), of one below TMPDIR."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("mpisign-data")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


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


_GROUPS = Path("/sys/fs/cgroup")
"""Where Linux has the limits of groups of processes, such as a container's or a SLURM job's."""


def installed() -> int:
    """Return how many bytes of memory the machine has, or its container or batch job may take where that is less."""
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):
        own = Path("/proc/self/cgroup").read_text().rpartition("0::/")[2].splitlines()[0]
        for folder in (_GROUPS / own, *(_GROUPS / own).parents):
            limit = folder / "memory.max"
            if limit.is_file() and (text := limit.read_text().strip()) != "max":
                found = min(found, int(text))
    return found


TO_DO = "give it more (docker run --shm-size=..., or mount -o remount,size=... /dev/shm)"
"""What to do where there is too little."""


def carve(words: np.ndarray[Any, Any], layout: Layout) -> Arrays:
    """Return the arrays of a layout in memory that is there."""
    parts = zip(offsets(layout)[:-1], layout.items(), strict=True)
    return {name: np.ndarray(shape, dtype, words.data, start) for start, (name, (shape, dtype)) in parts}


def offsets(layout: Layout) -> list[int]:
    """Return where each array begins, on lines of 64 bytes, and how many bytes they take together."""
    sizes = (-(-math.prod(shape) * dtype.itemsize // 64) * 64 for shape, dtype in layout.values())
    return list(itertools.accumulate(sizes, initial=0))
