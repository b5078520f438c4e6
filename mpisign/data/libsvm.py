"""LIBSVM text, in chunks: lines `label index:value index:value ...`.

Lines that are plainly right are read by `scan`; whatever is not goes to scikit-learn's reader, which has the last word.

A chunk is the lines that start in its `chunk_bytes` of the file, whoever reads it, so that the number of ranks changes
nothing. What is refused is named by its line number in the whole file, counted from 1.
"""

import io
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mpisign.arrays import Floats
from mpisign.config.validation import InputError
from mpisign.data.compression import BOM
from mpisign.data.csr import Csr
from mpisign.data.libsvm_scanner import scan

_COUNT_BYTES, _SHOWN = 2**24, 40

_BLANK, _NUMBER = rb"[ \t\r\x0b\x0c]", rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_WORD = rb"[+-]?(?i:nan|inf|infinity)"
_ANY = rb"(" + _NUMBER + rb"|" + _WORD + rb")"
_NOT_PLAIN = "numbers are not in digits"
_PLAIN = re.compile(
    _BLANK
    + rb"*("
    + _ANY
    + rb"("
    + _BLANK
    + rb"+qid:[0-9]+)?("
    + _BLANK
    + rb"+\+?[0-9]+:"
    + _ANY
    + rb")*"
    + _BLANK
    + rb"*)?(#.*)?",
    re.DOTALL,
)
"""A line; words that are numbers to some are refused later, as not finite."""


class Text:
    """A LIBSVM text file. name: what to call it in a complaint; dtype: float32 or float64, of the features."""

    chunk_bytes = 2**22

    def __init__(self, path: Path, name: str, dtype: str):
        self._path, self._name, self._dtype = path, name, dtype
        self.chunks = -(-path.stat().st_size // self.chunk_bytes)

    def parse(self, chunk: int) -> tuple[Floats, Csr]:
        """Return the chunk's labels and features; see the function `parse`."""
        return parse(self._read(chunk), self._dtype, self._name, lambda: self._lines_before(chunk))

    def refuse_row(self, chunk: int, row: int, complaint: str) -> InputError:
        """Return a complaint about a row of a chunk, counted from 0; comments and empty lines are no rows."""
        lines = self._read(chunk).split(b"\n")
        rows = [number for number, line in enumerate(lines) if line.split(b"#")[0].strip()]
        return InputError(self._name, f"line {self._lines_before(chunk) + rows[row] + 1}: {complaint}")

    def _read(self, chunk: int) -> bytes:
        start, stop = chunk * self.chunk_bytes, (chunk + 1) * self.chunk_bytes
        with self._path.open("rb") as file:
            _to_line_start(file, start)
            block = file.read(max(0, stop - file.tell()))
            block += file.readline() if block and not block.endswith(b"\n") else b""
        block = block.removeprefix(BOM) if chunk == 0 else block
        return block if block.endswith(b"\n") or not block else block + b"\n"

    def _lines_before(self, chunk: int) -> int:
        count = 0
        with self._path.open("rb") as file:
            _to_line_start(file, chunk * self.chunk_bytes)
            left = file.tell()
            file.seek(0)
            while left:
                block = file.read(min(left, _COUNT_BYTES))
                count, left = count + block.count(b"\n"), left - len(block)
        return count


def parse(block: bytes, dtype: str, name: str, lines_before: Callable[[], int] = lambda: 0) -> tuple[Floats, Csr]:
    """Return labels, float64, shape (rows,), and features, whose columns are the indices as they are written.

    block: whole lines, each with its end. Raises InputError, key the name, with the number of the first line that is
    broken or not finite; lines_before: how many there are before the block.
    """
    parsed, _ = _parse(block, dtype)
    if parsed is None:
        lines = [line + b"\n" for line in block.split(b"\n")[:-1]]
        bad = _first_bad(lines, dtype)
        _, fault = _parse(lines[bad], dtype)  # the block's may be of a later line
        raise InputError(name, f"line {lines_before() + bad + 1}: {fault}: {_shortened(lines[bad])}")
    return parsed


def _to_line_start(file: io.BufferedReader, position: int) -> None:
    """Go to the first line that starts at the position or after it."""
    file.seek(max(position - 1, 0), os.SEEK_SET)
    if position:
        file.readline()


def _parse(block: bytes, dtype: str) -> tuple[tuple[Floats, Csr] | None, str]:
    """Return the rows, or what is wrong with one of them."""
    try:
        labels, features = scan(block) or _by_scikit_learn(block)
    except (ValueError, OverflowError) as error:
        return None, f"expected LABEL INDEX:VALUE ... with increasing indices{_why(error)}"
    with np.errstate(over="ignore"):
        values = features.values.astype(dtype, copy=False)
    if not (np.isfinite(labels).all() and np.isfinite(values).all()):
        return None, f"expected numbers that are finite in {dtype}"
    return (labels, features._replace(values=values)), ""


def _why(error: Exception) -> str:
    """Return what the line does not show at first sight.

    The other words of scikit-learn speak of its code, not of the line.
    """
    if isinstance(error, OverflowError):
        return " (an index does not fit into 32 bits)"
    if "sorted and unique" in str(error):
        return " (indices are not increasing)"
    return f" ({error})" if str(error) == _NOT_PLAIN else ""


def _by_scikit_learn(block: bytes) -> tuple[Floats, Csr]:
    """Raise ValueError also where Python reads numbers that no other program does, such as 1_0."""
    from sklearn.datasets import load_svmlight_file

    features, labels = load_svmlight_file(io.BytesIO(block), zero_based=True)
    if not all(_PLAIN.fullmatch(line) for line in block.split(b"\n")):
        raise ValueError(_NOT_PLAIN)
    if features.indices.max(initial=0) >= 2**31:
        raise OverflowError(f"index {features.indices.max()}")
    return labels, Csr(features.data, features.indices.astype(np.int32), features.indptr.astype(np.int64))


def _first_bad(lines: list[bytes], dtype: str) -> int:
    """By halves: lines are right or wrong each by itself."""
    low, high = 0, len(lines)
    while high - low > 1:
        middle = (low + high) // 2
        wrong = _parse(b"".join(lines[low:middle]), dtype)[0] is None
        low, high = (low, middle) if wrong else (middle, high)
    return low


def _shortened(line: bytes) -> str:
    text = line.decode(errors="replace").strip()
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
