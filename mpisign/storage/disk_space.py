"""Make sure of room on the disk for a file, before it is written."""

import errno
import os
import shutil
from pathlib import Path


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
