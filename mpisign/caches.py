"""Find this user's caches.

None is ever required: without a home, or with one that is read-only, all goes on.
"""

import fcntl
import os
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path


def own() -> Path | None:
    """Return XDG_CACHE_HOME/mpisign, by default ~/.cache/mpisign; None where this user has no home."""
    named = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(named or Path.home() / ".cache") / "mpisign"
    except RuntimeError:  # HOME is unset, and the system does not know this user's number
        return None


def private() -> Path | None:
    """Return a folder below TMPDIR that is this user's alone; None if there is none, or somebody else made it."""
    try:
        folder = Path(tempfile.gettempdir()) / f"mpisign-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    # Kernels are loaded from it: what another user could write there would run as this one.
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    return folder if ours else None


def folder(name: str) -> Path | None:
    """Return the first of two folders that can be written, which is made where there is none; None where neither can.

    They are XDG_CACHE_HOME/mpisign/NAME, by default in ~/.cache, and one in a private folder below TMPDIR.
    """
    for place in (own, private):
        cache = place()
        if cache is not None and can_be_written(cache / name):
            return cache / name
    return None


def can_be_written(folder: Path) -> bool:
    """Return whether files can be made in a folder, which is made where there is none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


class Turn:
    """What one process of this user does at a time on a machine: to make what the others then find in a cache.

    Args:
        patience: seconds that this process waits at most, all times together; beyond them it does without a turn.
    """

    def __init__(self, patience: float):
        self._patience = patience
        self._file: int | None = None

    def take(self) -> None:
        """Wait for the turn, as long as there is patience; the end of the process gives it back, too."""
        folder = private()
        if self._file is not None or folder is None or self._patience <= 0:
            return
        with suppress(OSError):  # such as a file system without locks
            self._file = os.open(folder / "turn", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            while not self._locked(self._file) and self._patience > 0:
                time.sleep(_LOOK)
                self._patience -= _LOOK

    def _locked(self, file: int) -> bool:
        """Return whether the file is locked by this process now."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def give(self) -> None:
        """Give the turn back, if this process has it."""
        if self._file is not None:
            os.close(self._file)
        self._file = None


_LOOK = 0.02
"""Seconds between two looks of a process that waits for its turn; it leaves its core to the one that works."""
