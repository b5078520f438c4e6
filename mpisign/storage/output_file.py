"""Check the file that a command writes before any work, lock it while it is written, and give it its name."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mpisign.config.validation import InputError
from mpisign.messages import say

_NOT_SUPPORTED = 524
"""ENOTSUPP, which the kernel lets out of some network file systems, and which `errno` does not know."""
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, _NOT_SUPPORTED)
"""What a file system says that has no locks."""
_NO_FSYNC = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, _NOT_SUPPORTED)
"""What a file system says that cannot put a folder on the disk, such as CIFS."""
_warned: set[Path] = set()
"""Files and folders of which something was said, once."""


def check_output(output: Path, overwrite: bool, instead: str = "give --overwrite to replace it") -> None:
    """Raise InputError if the output cannot be written.

    Args:
        output: the file to write.
        overwrite: whether it may be there already.
        instead: what to do about a file that exists, for the message.

    Raises:
        InputError: it is a folder or a device, it is there and `overwrite` is False, or there can be no such file.
    """
    try:
        if output.exists() and not output.is_file():  # a device would be replaced by what is written
            what = "a folder" if output.is_dir() else "a device"
            raise InputError(str(output), f"expected a file name for the output, but this is {what}")
        if output.exists() and not overwrite:
            raise InputError(str(output), f"this output exists already; {instead}")
        nearest = next(folder for folder in output.absolute().parents if folder.exists())
    except OSError as error:
        raise InputError(str(output), f"cannot write this output: {error.strerror}") from None
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        raise InputError(str(nearest), "expected a folder that can be written into, for the output")


def output_path(text: str) -> Path:
    """Return the file that an output names: of a link its target, which is written in the place where it is."""
    path = Path(text)
    try:
        return Path(os.path.realpath(path)) if path.is_symlink() else path
    except OSError:  # such as a name that is too long, which `check_output` refuses
        return path


def part_of(output: Path) -> Path:
    """Return the path of the unfinished file beside `output`."""
    return output.with_name(f"{output.name}.part")


@contextmanager
def lock_output(output: Path, new: bool = False, file: Path | None = None) -> Iterator[None]:
    """Keep everybody else from writing `output` while this lasts.

    OUTPUT.part is locked, and removed at the end. The lock ends with the process, however that ends.

    Args:
        output: the file to write.
        new: whether there was no such file when the command began.
        file: what is locked where OUTPUT.part is a folder.

    Raises:
        InputError: somebody else has the lock or, if `new`, has written the file meanwhile; or there can be no such
            file.
    """
    part = file or part_of(output)
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        lock = _locked(part)
    except OSError as error:
        busy = isinstance(error, BlockingIOError)
        reason = f"another job is writing it: {part} is locked" if busy else f"{part}: {error.strerror}"
        raise InputError(str(output), f"cannot write this output; {reason}") from None
    try:
        # Looked at under the lock: before, another job could still have written it.
        if new and output.exists():
            raise InputError(str(output), "another job has written this output meanwhile; give another name")
        yield
    finally:
        if _is(part, lock):  # not renamed, nor another one of somebody who came after that
            part.unlink()
        os.close(lock)


def _locked(part: Path) -> int:
    """Return a descriptor of the file of that name, with its lock; make the file if there is none."""
    while True:
        lock = os.open(part, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(lock, part)
        except OSError:
            os.close(lock)
            raise
        if _is(part, lock):
            return lock
        os.close(lock)  # whoever had it has renamed or removed it meanwhile


def _lock(descriptor: int, part: Path) -> None:
    """Lock the open file, or raise BlockingIOError; say so where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        say(f"no file locks in {part.parent}: a second job on this output is not noticed")


def _is(path: Path, descriptor: int) -> bool:
    """Return whether the open file has this name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def replace_durably(unfinished: Path, output: Path) -> None:
    """Give `unfinished` the name `output`, on the disk too: a crash of the machine leaves the old file or the new.

    Mode and group of a file that is replaced are kept.
    """
    with unfinished.open("rb") as file, naming(unfinished, "fsync"):
        # Content first: a rename may reach the disk before the data that it names.
        os.fsync(file.fileno())
    _take_mode(unfinished, output)
    with naming(output, "rename"):
        unfinished.replace(output)
    _sync_folder(output.parent)


def _take_mode(unfinished: Path, output: Path) -> None:
    """Give the file the mode and the group of the one that it will replace, as far as this user may."""
    if not output.exists():
        return
    earlier = output.stat()
    try:
        unfinished.chmod(earlier.st_mode & 0o7777)
        if earlier.st_gid != unfinished.stat().st_gid:
            os.chown(unfinished, -1, earlier.st_gid)
    except OSError:  # not this user's to give, or a file system that has none
        if output not in _warned:
            say(f"{output}: its mode and group could not be kept")
        _warned.add(output)


def _sync_folder(folder: Path) -> None:
    """Put the folder's entries on the disk, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with naming(folder, "fsync"):
            # The new name is an entry of the folder, which has to be on the disk, too.
            os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FSYNC:
            raise
        if folder not in _warned:
            say(f"{folder}: no fsync of a folder here: a crash may lose the last commit")
        _warned.add(folder)
    finally:
        os.close(descriptor)


@contextmanager
def naming(path: Path, operation: str) -> Iterator[None]:
    """Name file and operation in an OSError: calls on a descriptor leave out both, and others the operation."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"{operation}: {os.strerror(error.errno or 0)}", str(path)) from None
