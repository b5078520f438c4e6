"""Find this user's caches.

None is ever required: without a home, or with one that is read-only, all goes on.
"""

import os
import stat
import tempfile
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
