"""A file on the disk as HDF5 writes it: with room for it, and errors of the system kept until they are asked for."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

from mpisign.storage.output_file import naming


class DiskFile(FileIO):
    """A file for HDF5 that keeps an error of a write to itself: HDF5, told of it, could not close the file any more."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of `data`, or keep the error and pretend that it was written; see `check`."""
        rest = memoryview(data).cast("B")
        with self._kept("write"):
            while rest:
                rest = rest[super().write(rest) :]
        return len(data)

    def readinto(self, buffer: Any) -> int:
        """Fill all of `buffer`: a read of Linux gives 2^31 - 4096 bytes at most, and HDF5 takes the rest for zeros."""
        rest = memoryview(buffer).cast("B")
        total = 0
        while total < len(rest) and (got := super().readinto(rest[total:])):
            total += got
        return total

    def truncate(self, size: int | None = None) -> int:
        """Set the file's length, or keep the error and pretend that it was set."""
        with self._kept("truncate"):
            super().truncate(size)
        return size or 0

    @contextmanager
    def _kept(self, operation: str) -> Iterator[None]:
        """Keep the first OSError that is raised inside."""
        try:
            with naming(Path(str(self.name)), operation):
                yield
        except OSError as error:
            self.error = self.error or error

    def check(self) -> None:
        """Raise the first error that there was."""
        if self.error is not None:
            raise self.error


def find_room(path: Path, size: int) -> None:
    """Make sure of `size` bytes of room on the disk before HDF5 writes, which may crash where it meets a full one.

    Raises:
        OSError: there is no such room. Nothing is left then: a reservation that fails keeps what it got, which would be
            all that was left.
    """
    if shutil.disk_usage(path.parent).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with path.open("wb") as file:
        try:
            reserve(file.fileno(), size)
        except OSError:
            path.unlink()
            raise


def reserve(handle: int, size: int) -> None:
    """Take `size` bytes of room where the system has a call for it; macOS has none, and there it is only looked for."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
