"""Check whether results can be kept in a folder: HDF5, locks, renames and fsync are tried there.

The trial is a process of its own, which may hang:

    python -m mpisign.tools.doctor.files FOLDER/NEW
"""

import fcntl
import json
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from mpisign.config.validation import InputError
from mpisign.tools.doctor.check import Check, brief, run_program

_LOCK_SECONDS = 60.0
_REFUSED = 75
"""Exit status of another process that meets a lock."""

_FLOCK = f"""
import fcntl, sys
try:
    fcntl.flock(open(sys.argv[1], "r+b"), fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit({_REFUSED})
"""
_OPEN = f"""
import h5py, sys
try:
    h5py.File(sys.argv[1], "r+").close()
except BlockingIOError:
    sys.exit({_REFUSED})
"""


def hdf5_version() -> str:
    """Return the version of the HDF5 library that h5py brings or was built with."""
    return str(h5py.version.hdf5_version)


def look(folder: Path) -> Iterator[Check]:
    """Check a folder in a process of its own: a network file system may let a lock wait for ever."""
    folder = folder.absolute()
    nearest = next((near for near in (folder, *folder.parents) if near.exists()), Path("/"))
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        yield Check(
            f"folder {nearest}: nothing can be written",
            "name another with --folder, or ask for the right to write there",
        )
        return
    inside = nearest / f".mpisign-doctor-{uuid.uuid4().hex}"
    try:
        yield from _told(inside)
    except InputError as error:
        yield Check(f"folder {nearest}: {error.complaint}", "write results to another file system")
    finally:
        shutil.rmtree(inside, ignore_errors=True)  # what a process that was killed left behind


def _told(inside: Path) -> Iterator[Check]:
    """Yield the checks that the process reports.

    Raises:
        InputError: If the process fails or hangs.
    """
    done = run_program([sys.executable, "-m", "mpisign.tools.doctor.files", str(inside)], _LOCK_SECONDS)
    if done.returncode:
        reason = brief(done.stderr.strip().rpartition("\n")[2])
        raise InputError("files", f"the trial ended with status {done.returncode}: {reason}")
    yield from (Check(*json.loads(line)) for line in done.stdout.splitlines())


def tried(inside: Path) -> Iterator[Check]:
    """Do each check in a folder that is made for it and removed."""
    inside.mkdir()
    where = f"folder {inside.parent}"
    try:
        for check in (_hdf5, _flock, _hdf5_lock, _rename):
            try:
                yield check(inside, where)
            except (OSError, InputError) as error:
                reason = f"{check.__name__.strip('_').replace('_', ' ')}: {brief(str(error))}"
                yield Check(f"{where}: {reason}", _advice(reason))
    finally:
        shutil.rmtree(inside)


def _advice(reason: str) -> str:
    """Return what to do about a failed trial: without locks, or without room."""
    if "lock" in reason:
        unlocked = "export HDF5_USE_FILE_LOCKING=FALSE and never run two jobs on one output"
        return f"no locks here: write to another file system, or {unlocked}"
    return "make room, or write results to another file system"


def _hdf5(inside: Path, where: str) -> Check:
    """Write, flush and read back an HDF5 file."""
    numbers = np.arange(1000.0)
    with h5py.File(inside / "a.h5", "w") as file:
        file["numbers"] = numbers
        file.flush()
    with h5py.File(inside / "a.h5", "r") as file:
        same = np.array_equal(file["numbers"][()], numbers)
    free = shutil.disk_usage(inside).free / 1e9
    wrong = "" if same else "what was written is not what is read: write results to another file system"
    return Check(f"{where}: HDF5 {hdf5_version()} writes, flushes and reads back; {free:.3g} GB free", wrong)


def _flock(inside: Path, where: str) -> Check:
    """Check that a second process is refused while the first holds a lock."""
    with (inside / "lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        refused = _elsewhere(_FLOCK, inside / "lock")
    advice = "two runs could write one file: write to another file system, or see that they never do"
    return Check(f"{where}: a locked file is {_closed(refused)} to a second process here", "" if refused else advice)


def _hdf5_lock(inside: Path, where: str) -> Check:
    """Check whether HDF5 opens files here, and with its own lock, as HDF5_USE_FILE_LOCKING has it."""
    set_ = os.environ.get("HDF5_USE_FILE_LOCKING")
    with h5py.File(inside / "b.h5", "w") as file:
        file.flush()
        refused = _elsewhere(_OPEN, inside / "b.h5")
    said = f"HDF5_USE_FILE_LOCKING {'is not set' if set_ is None else f'= {set_}'}"
    how = "with" if refused else "without"
    return Check(f"{where}: HDF5 opens files {how} its own lock, which a run does not need; {said}")


def _rename(inside: Path, where: str) -> Check:
    """Check that a whole file takes the place of another, and that both it and the folder can be put on disk."""
    old, new = inside / "old", inside / "new"
    old.write_bytes(b"old")
    with new.open("wb") as file:
        file.write(b"new")
        file.flush()
        os.fsync(file.fileno())
    new.replace(old)
    # the folder's entry is fsynced too: without it a rename may not outlive a crash
    for path in (old, inside):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    good = old.read_bytes() == b"new" and not new.exists()
    return Check(f"{where}: fsync and rename over a file", "" if good else "write results to another file system")


def _closed(refused: bool) -> str:
    """Return what a locked file is to a second process, in a word."""
    return "closed" if refused else "OPEN"


def _elsewhere(program: str, path: Path) -> bool:
    """Return whether a lock keeps another process out.

    Raises:
        OSError: If the other process fails for another reason.
    """
    done = run_program([sys.executable, "-c", program, str(path)], _LOCK_SECONDS / 3)
    if done.returncode not in (0, _REFUSED):
        raise OSError(done.stderr.strip().rpartition("\n")[2])
    return done.returncode == _REFUSED


if __name__ == "__main__":
    for found in tried(Path(sys.argv[1])):
        sys.stdout.write(json.dumps(found) + "\n")
