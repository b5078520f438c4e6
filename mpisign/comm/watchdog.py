"""Watch the ranks of a machine: a rank that is killed cannot say so, and the launcher ends the others before they can.

The first rank of each machine starts a watchdog, in a session of its own, which no launcher ends with the ranks. It
sleeps on Linux's pidfds, and reads where the ranks were from a page of memory that they share.
"""

import mmap
import os
import secrets
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from mpisign.comm import watchdog_process
from mpisign.comm.communicator import Communicator
from mpisign.config.validation import InputError
from mpisign.stop_signals import StopRequested


class Watch:
    """A context in which the ranks of this machine are watched; every rank has one, and who leaves it is not missed.

    In one process, where the system has no pidfd (macOS, Linux before 5.3), or where ranks do not see each other's
    processes, nobody watches.
    """

    def __init__(self, ranks: Communicator, watched: bool = True):
        self._ranks = ranks
        self._processes = dict(zip(ranks.members, ranks.processes(), strict=True)) if watched else {ranks.rank: 0}
        page = self._shared_page() if len(self._processes) > 1 and _has_pidfd() else None
        self._watched, self._page = page is not None, page or mmap.mmap(-1, self._size)
        place = list(self._processes).index(ranks.rank)
        self._line = memoryview(self._page)[watchdog_process.LINE * place :][:16].cast("Q")
        self._text = watchdog_process.LINE * len(self._processes) + watchdog_process.TEXT * place

    @property
    def _size(self) -> int:
        """Return the bytes of the page: a line for each rank, then a text for each."""
        return (watchdog_process.LINE + watchdog_process.TEXT) * len(self._processes)

    def _shared_page(self) -> mmap.mmap | None:
        """Return the page, made by the first rank of the machine, and opened by the others as a file of its process.

        None on all of them where one cannot: in a container of its own it knows the others by other numbers, and what
        has their numbers there must be neither written to nor ended.
        """
        row = np.array([0, secrets.randbits(64)], dtype=np.uint64)
        if self._ranks.node.root:
            self._descriptor = os.memfd_create(f"mpisign-{row[1]}")
            os.truncate(self._descriptor, self._size)
            row[0] = self._descriptor
        self._ranks.node.broadcast(row)
        try:
            return self._ranks.node.raise_collectively(lambda: self._opened(*row))
        except InputError:
            self._close_descriptor()
            return None

    def _opened(self, descriptor: int, token: int) -> mmap.mmap:
        """Map the first rank's page; raise InputError if it cannot be opened, or is another file by its token."""
        # An anonymous file has no name: the others open it by way of the first rank's process.
        page = Path(f"/proc/{next(iter(self._processes.values()))}/fd/{descriptor}")
        try:
            if f"mpisign-{token} " not in f"{page.readlink()} ":
                raise InputError("", "another file")
            with page.open("r+b") as file:
                return mmap.mmap(file.fileno(), self._size)
        except OSError as error:
            raise InputError("", str(error)) from None

    def _close_descriptor(self) -> None:
        """Close the page's descriptor on the rank that made it."""
        if self._ranks.node.root:
            os.close(self._descriptor)

    def enter(self, what: str) -> None:
        """Name what this rank does from now on."""
        self.at(0)
        size = watchdog_process.TEXT
        self._page[self._text : self._text + size] = what.encode()[:size].ljust(size, b"\0")

    def at(self, k: int) -> None:
        """Note that this rank has come to k."""
        self._line[1] = k

    def dismiss(self) -> None:
        """Miss no rank of this machine: all of them are about to be ended, by one that says why."""
        for line in range(len(self._processes)):
            self._page[watchdog_process.LINE * line : watchdog_process.LINE * line + 8] = (
                watchdog_process.LEFT.to_bytes(8, sys.byteorder)
            )

    def __enter__(self) -> Self:
        if self._watched and self._ranks.node.root:
            pairs = (f"{rank}:{process}" for rank, process in self._processes.items())
            self._watchdog = subprocess.Popen(
                [sys.executable, "-I", "-S", watchdog_process.__file__, str(self._descriptor), *pairs],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[self._descriptor],
                start_new_session=True,
            )
            self._close_descriptor()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Who fails otherwise says why by itself; the watchdog then only ends those that are left waiting.
        here = error is None or isinstance(error, InputError | StopRequested)
        self._line[0] = watchdog_process.LEFT if here else watchdog_process.FAILED
        # After an error it stays, and ends ranks that their launcher lets wait.
        if here and self._watched and self._ranks.node.root:
            self._watchdog.kill()
            self._watchdog.wait()


def _has_pidfd() -> bool:
    """Return whether the kernel has pidfds: Python may know them where an older kernel or a container refuses."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True
