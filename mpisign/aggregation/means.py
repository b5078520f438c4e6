"""Take means over the workers, added in their order: of vectors, and of the numbers in front of the messages."""

import math

import numpy as np

from mpisign.aggregation.bitplanes import subtract, subtract_nonnegative
from mpisign.arrays import Floats, Words
from mpisign.jit import for_both, kernel, part_of_kernels

_BLOCK = 32
"""Words of a plane, 2048 coordinates, that are added up together."""


@kernel(*for_both("void(float64[:, ::1], float64[::1])"))
def mean_row(rows: Floats, out: Floats) -> None:
    """Write (rows[0] + rows[1] + ...) / M to `out`, added in the order of the workers.

    Where the sum overflows, each row is divided first.

    Args:
        rows: shape (M, d).
        out: shape (d,), overwritten.
    """
    for i in range(len(out)):
        out[i] = rows[0, i]
    for m in range(1, len(rows)):
        for i in range(len(out)):
            out[i] += rows[m, i]
    for i in range(len(out)):
        if np.isfinite(out[i]):
            out[i] /= len(rows)
        else:
            out[i] = 0.0
            for m in range(len(rows)):
                out[i] += rows[m, i] / len(rows)


@kernel(
    "void(float64[:], uint64[:, ::1], uint64[:, ::1], float64[::1])",
    "void(float64[:], uint64[:, ::1], uint64[:, ::1], float32[::1])",
)
def mean_signs(numbers: Floats, rows: Words, nonnegative: Words, out: Floats) -> None:
    """Write (1/M) sum_m |numbers[m]| sign_m to `out`, added in the order of the workers at each coordinate.

    Args:
        numbers: shape (M,); with its sign bit set where a worker's signs have zeros.
        rows: shape (M, 1 + W'), W' >= W: a word that is left out, then the positive plane.
        nonnegative: shape (M, W') or more, the nonnegative planes; read only for workers with zeros.
        out: shape (d,), d <= 64 W, overwritten.
    """
    width = (out.size + 63) // 64
    out[:] = 0.0
    # Some coordinates of all workers, and then the next: they stay in the first-level cache.
    for first in range(0, width, _BLOCK):
        stop = min(first + _BLOCK, width)
        part = out[64 * first : 64 * stop]
        for m in range(rows.shape[0]):
            c, positive = -abs(numbers[m]) / rows.shape[0], rows[m, 1 + first : 1 + stop]
            if np.signbit(numbers[m]):
                subtract_nonnegative(part, c, positive, nonnegative[m, first:stop])
            else:
                subtract(part, c, positive)


@part_of_kernels
def _quadratic_mean(numbers: Floats) -> float:
    """Return the root of the mean square, of parts of the largest number, so that no square overflows or vanishes."""
    largest, squares = 0.0, 0.0
    for number in numbers:
        largest = max(largest, abs(number))
    for number in numbers:
        part = abs(number) / largest
        squares += part * part
    return largest * math.sqrt(squares / len(numbers))


@kernel("Tuple((float64, boolean))(float64[:], boolean)")
def mean_number(numbers: Floats, quadratic: bool) -> tuple[float, bool]:
    """Return the mean size of the numbers, or their quadratic mean, in the order of the workers.

    It overflows, or vanishes, only where a number does.

    Returns:
        The mean, and whether a number has its sign bit set.
    """
    total, flagged, count = 0.0, False, len(numbers)
    for m in range(count):
        total += abs(numbers[m])
        flagged |= np.signbit(numbers[m])
    if quadratic and count > 1 and total > 0.0:
        return _quadratic_mean(numbers), flagged
    if np.isfinite(total):
        return total / count, flagged
    total = 0.0  # the mean of two finite numbers is finite, and their sum may not be
    for m in range(count):
        total += abs(numbers[m]) / count
    return total, flagged
