"""LIBSVM text that is plainly right, read at memory speed; of anything else it says nothing.

A number of at most 18 digits, m 10^e with m <= 2^53 and |e| <= 22, is one product or quotient of exact numbers, rounded
once (Clinger, "How to read floating point numbers accurately", PLDI 1990). With a larger m it is a quotient in twice
the digits, where that settles the rounding. Any other number is left to Python's float.
"""

import numpy as np

from mpisign.arrays import Bytes, Floats, Indices
from mpisign.data.csr import Csr
from mpisign.jit import kernel

_POWERS = np.array([float(f"1e{e}") for e in range(23)])
_EXACT, _LONG, _NONE = 0, 1, 2


def scan(block: bytes) -> tuple[Floats, Csr] | None:
    """Return labels and features of whole lines, or None where a line is not plainly right.

    Right is `label index:value ...` with increasing indices. Comments are allowed, `qid:` is not. Columns are the
    indices as they are written.
    """
    entries, rows = block.count(b":"), block.count(b"\n")
    labels, values, indices = np.empty(rows), np.empty(entries), np.empty(entries, dtype=np.int32)
    indptr, long = np.zeros(rows + 1, dtype=np.int64), np.empty((entries, 3), dtype=np.int64)
    rows, left = _scan(np.frombuffer(block, dtype=np.uint8), labels, indptr, indices, values, long)
    if rows < 0:
        return None
    values[long[:left, 0]] = [float(block[start:stop]) for _, start, stop in long[:left].tolist()]
    entries = int(indptr[rows])
    return labels[:rows], Csr(values[:entries], indices[:entries], indptr[: rows + 1])


@kernel("UniTuple(int64, 2)(Array(uint8, 1, 'C', readonly=True), int64)")
def _exponent(text: Bytes, at: int) -> tuple[int, int]:
    """Return the integer after an e, and where it ends: -1 when there is none."""
    minus = text[at] == 45
    at += minus or text[at] == 43
    start, exponent = at, 0
    while 48 <= text[at] <= 57:
        exponent = min(10 * exponent + int(text[at] - 48), 10**6)
        at += 1
    return -exponent if minus else exponent, at if at > start else -1


@kernel("Tuple((float64, float64))(float64)")
def _halves(x: float) -> tuple[float, float]:
    """Return x as a sum of two numbers of 26 bits (Veltkamp)."""
    wide = 134217729.0 * x
    high = wide - (wide - x)
    return high, x - high


@kernel("Tuple((float64, boolean))(int64, float64)")
def _quotient(mantissa: int, power: float) -> tuple[float, bool]:
    """Return mantissa / power, rounded once, and whether that is sure (Ziv's test).

    The quotient and a correction from its exact remainder (Dekker) have together some 100 bits, which are enough unless
    the number lies next to the middle of two others.
    """
    near = float(mantissa)
    quotient = near / power
    (a, b), (c, d), product = _halves(quotient), _halves(power), quotient * power
    below = ((a * c - product) + a * d + b * c) + b * d
    correction = (((near - product) - below) + float(mantissa - int(near))) / power
    total = quotient + correction
    rest = correction - (total - quotient)
    return total, total == total + rest * (1 + 1e-9)


@kernel("Tuple((float64, int64, int64))(Array(uint8, 1, 'C', readonly=True), int64)")
def _number(text: Bytes, at: int) -> tuple[float, int, int]:
    """Return the number that starts at `at`, where it ends, and whether it is exact, left to float, or no number."""
    minus = text[at] == 45
    at += minus or text[at] == 43
    mantissa, digits, seen, exponent, point = 0, 0, 0, 0, False
    while 48 <= text[at] <= 57 or (text[at] == 46 and not point):
        if text[at] == 46:
            point = True
        else:
            seen += 1
            exponent -= point
            digits += mantissa > 0 or text[at] > 48
            if digits <= 18:
                mantissa = 10 * mantissa + int(text[at] - 48)
        at += 1
    if seen == 0:
        return 0.0, at, _NONE
    if text[at] == 101 or text[at] == 69:
        shift, at = _exponent(text, at + 1)
        exponent += shift
        if at < 0:
            return 0.0, at, _NONE
    if digits > 18 or abs(exponent) > 22 or (mantissa > 2**53 and exponent > 0):
        return 0.0, at, _LONG
    if mantissa > 2**53:
        size, sure = _quotient(mantissa, _POWERS[-exponent])
        return -size if minus else size, at, _EXACT if sure else _LONG
    size = mantissa * _POWERS[exponent] if exponent >= 0 else mantissa / _POWERS[-exponent]
    return -size if minus else size, at, _EXACT


@kernel("int64(Array(uint8, 1, 'C', readonly=True), int64)")
def _skip(text: Bytes, at: int) -> int:
    """Return the next character that is no blank and in no comment."""
    while text[at] == 32 or text[at] == 9 or 11 <= text[at] <= 13:
        at += 1
    if text[at] == 35:
        while text[at] != 10:
            at += 1
    return at


@kernel("boolean(uint8)")
def _ends(character: int) -> bool:
    """Return whether a number may end before it: a blank, a comment, the line's end."""
    return character == 32 or 9 <= character <= 13 or character == 35


@kernel(
    "UniTuple(int64, 2)(Array(uint8, 1, 'C', readonly=True), float64[::1], int64[::1], int32[::1], float64[::1], "
    "int64[:, ::1])"
)
def _scan(
    text: Bytes,
    labels: Floats,
    indptr: Indices,
    indices: "np.ndarray[tuple[int], np.dtype[np.int32]]",
    values: Floats,
    long: Indices,
) -> tuple[int, int]:
    r"""Fill the arrays; returns the rows, -1 when a line is not plainly right, and how many numbers are left to float.

    Every line ends with \n. long: entry, start and end of each of those numbers.
    """
    at, row, entry, left = 0, 0, 0, 0
    while at < text.size:
        at = _skip(text, at)
        if text[at] == 10:
            at += 1
            continue
        labels[row], at, kind = _number(text, at)
        if kind != _EXACT or not _ends(text[at]):
            return -1, 0
        at, previous = _skip(text, at), -1
        while text[at] != 10:
            index, start = 0, at
            while 48 <= text[at] <= 57 and index < 2**31:
                index = 10 * index + int(text[at] - 48)
                at += 1
            if at == start or index <= previous or index >= 2**31 or text[at] != 58:
                return -1, 0
            indices[entry], previous, start = index, index, at + 1
            values[entry], at, kind = _number(text, start)
            if kind == _NONE or not _ends(text[at]):
                return -1, 0
            if kind == _LONG:
                long[left, 0], long[left, 1], long[left, 2] = entry, start, at
                left += 1
            entry, at = entry + 1, _skip(text, at)
        row, at = row + 1, at + 1
        indptr[row] = entry
    return row, left
