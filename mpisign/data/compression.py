"""Compressed sources, known by their first bytes."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from mpisign.config.validation import InputError
from mpisign.progress import Progress
from mpisign.storage.output_file import replace_durably

_ZSTD = b"\x28\xb5\x2f\xfd"
_READERS: dict[bytes, Callable[[Any], Any]] = {b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open, b"\x1f\x8b": gzip.open}
try:
    _zstd = import_module("compression.zstd")  # Python 3.14 has it
except ImportError:
    _DAMAGED: tuple[type[Exception], ...] = (EOFError, OSError, lzma.LZMAError, zlib.error)
else:
    _READERS[_ZSTD] = _zstd.open
    _DAMAGED = (EOFError, OSError, lzma.LZMAError, zlib.error, _zstd.ZstdError)
_OTHERS = {
    b"PK\x03\x04": "a zip archive; unpack it",
    _ZSTD: "compressed by zstd; give zstd -d the file",
    b"\xff\xfe": "text in UTF-16; write it as UTF-8",
    b"\xfe\xff": "text in UTF-16; write it as UTF-8",
}
"""What is known by its first bytes, and not read; what to do."""
BOM = b"\xef\xbb\xbf"
"""What some editors put in front of UTF-8."""
_BLOCK_BYTES = 2**20


def opener(path: Path) -> Callable[[Any], Any] | None:
    """Return what reads a file compressed by bzip2, xz or gzip (zstd where Python has it); None for a plain one.

    Raises InputError, key the path, for what is packed or written in another way.
    """
    with path.open("rb") as file:
        first = file.read(6)
    for magic, reader in _READERS.items():
        if first.startswith(magic):
            return reader
    for magic, what in _OTHERS.items():
        if first.startswith(magic):
            raise InputError(
                str(path), f"expected LIBSVM text, plain or compressed by bzip2, xz or gzip; this is {what}"
            )
    return None


def decompress(source: Path, target: Path, progress: Progress) -> None:
    """Write the content of a compressed source; `target` is there when it is whole, and never before.

    Raises InputError, key `source`, when the source is cut off or damaged, OSError when the target cannot be written.
    """
    unfinished = target.with_suffix(".tmp")
    open_source = opener(source)
    assert open_source is not None
    with source.open("rb") as raw, open_source(raw) as reader, unfinished.open("wb") as writer:
        while block := _read(reader, source):
            writer.write(block)
            progress.show(raw.tell() >> 20)
    replace_durably(unfinished, target)


def content(path: Path, most: int) -> bytes:
    """Return what is in a file, plain or compressed; raises InputError, key the path, for more than `most` bytes."""
    with (opener(path) or _plain)(path) as reader:
        found = _read(reader, path, most + 1)
    if len(found) > most:
        raise InputError(str(path), f"more than {most >> 20} MB of text; mpisign data convert first")
    return found


def _plain(path: Path) -> Any:
    return path.open("rb")


def _read(reader: Any, source: Path, size: int = _BLOCK_BYTES) -> bytes:
    try:
        block: bytes = reader.read(size)
        return block
    except _DAMAGED as error:
        refused = error.strerror if isinstance(error, OSError) else None  # by the system; decompressors give no number
        damaged = f"this compressed file is cut off or damaged: {error}"
        raise InputError(str(source), f"cannot read this file: {refused}" if refused else damaged) from None
