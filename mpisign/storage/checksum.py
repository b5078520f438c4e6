"""Seal a finished file with its sha256, appended to it, and check the seal.

HDF5 follows what a damaged file says of itself, at times in circles or out of memory, so that damage has to be found
before HDF5 opens it. HDF5 reads past a seal, and drops it when the file is changed by its means.
"""

import hashlib
import re
from pathlib import Path

from mpisign.config.validation import InputError
from mpisign.storage.output_file import naming

_COPIES, _BLOCK = 8, 512
"""A seal is one line, padded to a block, eight times over: no damage to a part makes it look as if there were none."""
BYTES = _COPIES * _BLOCK
_LINE = re.compile(rb"mpisign-seal/1 ([0-9a-f]{64}) ([0-9]{1,18})\n")
_MAGIC = b"mpisign-seal/1 "
_FLAGS = range(20, 24)
"""The bytes of HDF5's superblock 0 that say who has the file open."""
_OPEN = (
    'a program that opened this file for writing ("r+") was killed, or has it open still; nothing else in it was '
    'changed. Where none has it open, open and close it once: h5py.File(NAME, "r+").close(); read with "r" from then on'
)


def seal(path: Path) -> None:
    """Append the seal to a closed file, after an older one is taken off.

    Whoever renames the file sees that it is on the disk.
    """
    unseal(path)
    size = path.stat().st_size
    with naming(path, "write"), path.open("ab") as file:
        file.write(_seal(_sha256(path, size), size))


def unseal(path: Path) -> None:
    """Take the seal off, before the file is changed; one that does not fit its size stays."""
    size = path.stat().st_size
    found = _LINE.match(_end(path))
    if found and int(found[2]) == size - BYTES:
        with naming(path, "truncate"), path.open("r+b") as file:
            file.truncate(size - BYTES)


def check_seal(path: Path) -> bool:
    """Return whether the file has a seal.

    Raises:
        InputError: the file was changed, damaged or cut off after it was sealed.
    """
    end = _end(path)
    at = end.find(_MAGIC)
    if at < 0:
        return False
    found = _LINE.match(end, at)
    if found:
        sha256, size = found[1].decode(), int(found[2])
        if end == _seal(sha256, size) and size + BYTES == path.stat().st_size:
            if _sha256(path, size) == sha256:
                return True
            # HDF5 sets its flags at opening: a program that was killed after that has changed no more than these.
            if _sha256(path, size, closed=True) == sha256:
                raise InputError(str(path), _OPEN)
    raise InputError(str(path), "this file was changed, damaged or cut off after it was written: its seal does not fit")


def _seal(sha256: str, size: int) -> bytes:
    """Return the seal of a file of `size` bytes, BYTES long."""
    return f"mpisign-seal/1 {sha256} {size}\n".encode().ljust(_BLOCK, b"\n") * _COPIES


def _end(path: Path) -> bytes:
    """Return the last BYTES bytes of the file, or all of a shorter one."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - BYTES))
        return file.read(BYTES)


def _sha256(path: Path, size: int, closed: bool = False) -> str:
    """Return the sha256 of the first `size` bytes of the file, in hexadecimal.

    Args:
        path: the file.
        size: the bytes that are hashed.
        closed: whether to hash the file as it would be, had who opened it for writing closed it.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size and (block := file.read(min(size, 2**20))):
            first, closed = closed, False
            digest.update(_without_flags(block) if first else block)
            size -= len(block)
    return digest.hexdigest()


def _without_flags(block: bytes) -> bytes:
    """Return the beginning of an HDF5 file of ours (superblock 0) without the flags that say that it is open."""
    return block[: _FLAGS.start] + bytes(len(_FLAGS)) + block[_FLAGS.stop :] if len(block) > _FLAGS.stop else block
