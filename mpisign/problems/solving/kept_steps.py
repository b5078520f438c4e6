"""What a search for f* and the constants has found so far, on the disk: a killed one goes on from there.

Each step is kept under a name, as arrays from which all that follows has the same bits.
"""

import hashlib
import os
import platform
import time
from contextlib import suppress
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

_APART = 2.0
"""Seconds between two writings: about what is lost at most besides the step that was being made."""
_DIGEST = hashlib.sha256().digest_size
"""Bytes in front of a file's arrays: their sha256. The checksums of a zip file leave its directory out."""


class KeptSteps:
    """The steps of a search, the root's; those of another process with the same path are found again.

    Args:
        path: where they are kept, each in a file of this name with its own added; None: nowhere.
    """

    def __init__(self, path: Path | None = None):
        self._path, self._written = path, time.monotonic()

    def _file(self, name: str) -> Path | None:
        """Return the file of a step."""
        return self._path and self._path.with_name(f"{self._path.stem}.{name}.npz")

    def found(self, name: str) -> list["np.ndarray[Any, Any]"] | None:
        """Return what is kept of a step, with the bits that it had; None where nothing is, or nothing whole."""
        file = self._file(name)
        if file is None or not file.exists():
            return None
        try:
            with file.open("rb") as stream:
                return _loaded(stream)
        except OSError:
            return None

    def keep(self, name: str, *arrays: object) -> None:
        """Keep a step in the place of the last one of its name, unless one was written a moment ago."""
        file = self._file(name)
        if file is None or time.monotonic() - self._written < _APART:
            return
        own = file.with_name(f"{file.name}.{platform.node()}.{os.getpid()}")
        with suppress(OSError):  # no room: it is found again then
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                with own.open("w+b") as stream:
                    _save(stream, *map(np.asarray, arrays))
                own.replace(file)  # so that nobody reads half of it
            finally:
                own.unlink(missing_ok=True)
        self._written = time.monotonic()

    def forget(self) -> None:
        """Remove all steps: what they led to is kept."""
        if self._path is not None:
            for file in self._path.parent.glob(f"{self._path.stem}.*.npz*"):
                with suppress(OSError):
                    file.unlink()


def _save(stream: BufferedRandom, *arrays: "np.ndarray[Any, Any]") -> None:
    """Write arrays behind their digest."""
    stream.write(bytes(_DIGEST))
    np.savez(stream, *arrays)
    stream.seek(_DIGEST)
    digest = hashlib.file_digest(stream, "sha256").digest()
    stream.seek(0)
    stream.write(digest)


def _loaded(stream: BufferedReader) -> list["np.ndarray[Any, Any]"] | None:
    """Return the arrays of a file, None where they are not those that were written."""
    if stream.read(_DIGEST) != hashlib.file_digest(stream, "sha256").digest():
        return None
    stream.seek(_DIGEST)
    with np.load(stream) as arrays:
        return [arrays[f"arr_{place}"] for place in range(len(arrays.files))]


NO_STEPS = KeptSteps()
"""Steps that are kept nowhere."""
