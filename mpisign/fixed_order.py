"""Arithmetic of what moves x: sums in a fixed order, and functions of +, -, *, / and square roots alone.

A processor that rounds correctly gives the same bits as every other one. BLAS, numpy's vectorised functions and the C
library's exp and sin choose their code by the processor, so that none of them is used where x depends on it.
"""

import math
from typing import Any

import numpy as np

from mpisign.arrays import Floats
from mpisign.jit import for_both, kernel, part_of_kernels, prefetch

_LOG2_E, _LN2_HIGH, _LN2_LOW = 1.4426950408889634, 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LEAST = -745.2
"""Below this, exp is 0."""
_POWERS = np.ldexp(1.0, np.arange(-1022, 1))
"""2^k for k = -1022, ..., 0."""
_HALF_PI = (1.57079632673412561417e00, 6.07710050630396597660e-11, 2.02226624879595063154e-21)
"""pi / 2 in three parts, the first two with 33 bits: their products with a number below 2^20 are exact."""
_FAR = 1e6
"""Beyond this angle `sine` is the C library's: half turns are no longer subtracted exactly."""


@kernel("float64(float64)")
def exp_of_negative(x: float) -> float:
    """Return exp(x) for x <= 0, to an ulp: x = k ln 2 + r, exp(r) by the rational function of FDLIBM's e_exp.c."""
    if not x >= _LEAST:
        return x if x != x else 0.0
    k = math.floor(x * _LOG2_E + 0.5)
    # ln 2 in two parts: k times the high one is exact, so that r loses no digit.
    high, low = x - k * _LN2_HIGH, k * _LN2_LOW
    r = high - low
    t = r * r
    p = 6.61375632143793436117e-05 + t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08)
    c = r - t * (1.66666666666666019037e-01 + t * (-2.77777777770155933842e-03 + t * p))
    y = 1.0 - ((low - (r * c) / (2.0 - c)) - high)
    k = int(k)
    if k >= -1021:
        return float(y * _POWERS[k + 1022])
    return float(y * _POWERS[k + 1222] * _POWERS[822])  # in two steps: 2^k itself is subnormal


@part_of_kernels
def _sine_of_reduced(r: float, quarter: int) -> float:
    """Return sin(r + quarter pi / 2) for |r| <= pi / 4, by Taylor's series in nested form."""
    t = r * r
    if quarter % 2 == 0:
        s = 1 / 6227020800.0 - t / 1307674368000.0
        s = -1 / 39916800.0 + t * s
        s = 1 / 362880.0 + t * s
        s = -1 / 5040.0 + t * s
        s = 1 / 120.0 + t * s
        value = r + r * t * (-1 / 6.0 + t * s)
    else:
        s = -1 / 87178291200.0 + t / 20922789888000.0
        s = 1 / 479001600.0 + t * s
        s = -1 / 3628800.0 + t * s
        s = 1 / 40320.0 + t * s
        s = -1 / 720.0 + t * s
        value = 1.0 - (0.5 * t - t * t * (1 / 24.0 + t * s))
    return -value if quarter % 4 >= 2 else value


@kernel(*for_both("void(float64[::1], float64[::1])"))
def sine(angles: Floats, out: Floats) -> None:
    """Write sin(angles) to `out`, to two ulps up to |angle| = 1e6; shapes (d,)."""
    for i in range(angles.size):
        angle = 1.0 * angles[i]  # float64, also of a float32
        if not abs(angle) <= _FAR:
            out[i] = math.sin(angle)
            continue
        quarter = math.floor(angle / 1.5707963267948966 + 0.5)
        r = ((angle - quarter * _HALF_PI[0]) - quarter * _HALF_PI[1]) - quarter * _HALF_PI[2]
        out[i] = _sine_of_reduced(r, int(quarter))


@part_of_kernels
def sum_of_lanes(lanes: Floats, count: int) -> float:
    """Return the sum of so many lanes, a power of two, in a fixed tree; they are overwritten."""
    # A fixed tree: the sum has the same bits however wide the processor's vectors are.
    width = count // 2
    while width:
        for lane in range(width):
            lanes[lane] += lanes[lane + width]
        width //= 2
    return 1.0 * float(lanes[0])  # compiled, float() leaves a float32 as it is


@kernel(*for_both("float64(float64[::1])"))
def l1_norm(vector: Floats) -> float:
    """Return the sum of |v_i|, in 8 lanes."""
    lanes = np.zeros(8)
    for i in range(vector.size):
        lanes[i % 8] += abs(vector[i])
    return sum_of_lanes(lanes, 8)


@kernel(*for_both("float64(float64[::1])"))
def peak(vector: Floats) -> float:
    """Return max |v_i|; a NaN counts as nothing."""
    largest = 0.0
    for value in vector:
        largest = max(largest, 1.0 * abs(value))  # float64, also of a float32
    return largest


@kernel(*for_both("float64(float64[::1], float64)"))
def squares(vector: Floats, unit: float) -> float:
    """Return the sum of (v_i / unit)^2, in 8 lanes."""
    lanes = np.zeros(8)
    for i in range(vector.size):
        part = vector[i] / unit
        lanes[i % 8] += part * part
    return sum_of_lanes(lanes, 8)


@kernel(*for_both("void(float64[::1], float64[::1], float64)"))
def add_quotient(out: Floats, vector: Floats, divisor: float) -> None:
    """Add vector / divisor to `out` in place; shapes (d,)."""
    for i in range(out.size):
        out[i] += vector[i] / divisor


@kernel(*for_both("void(float64[:, ::1], float64[::1], float64[::1])"))
def multiply(matrix: Floats, x: Floats, out: Floats) -> None:
    """Write matrix x to `out`, each entry summed in 8 lanes; shapes (n, d), (d,) and (n,)."""
    lanes = np.zeros(8)
    whole = x.size - x.size % 8
    for i in range(out.size):
        lanes[:] = 0.0
        for start in range(0, whole, 8):
            for j in range(8):
                lanes[j] += matrix[i, start + j] * x[start + j]
        for j in range(x.size - whole):
            lanes[j] += matrix[i, whole + j] * x[whole + j]
        out[i] = sum_of_lanes(lanes, 8)


@part_of_kernels
def product(row: Any, x: Floats, lanes: Floats) -> float:
    """Return row'x in 32 lanes that are added in a fixed tree; shapes (d,), and lanes (32,), overwritten."""
    lanes[:] = 0.0
    many = x.size - x.size % 32
    for start in range(0, many, 32):
        for lane in range(32):
            lanes[lane] += row[start + lane] * x[start + lane]
    for lane in range(x.size - many):
        lanes[lane] += row[many + lane] * x[many + lane]
    return sum_of_lanes(lanes, 32)


@part_of_kernels
def two_products(
    row: Any, other: Any, x: Floats, lanes: Floats, others: Floats, later: Any, latest: Any
) -> tuple[float, float]:
    """Return row'x and other'x, with the bits of `product`; x is read once for both.

    The rows `later` and `latest` are brought to the second-level cache meanwhile: memory is never idle.
    """
    lanes[:] = 0.0
    others[:] = 0.0
    many = x.size - x.size % 32
    for start in range(0, many, 32):
        for ahead in range(0, 32, 8):  # a cache line of float64; a number the compiler can see, so that it unrolls
            prefetch(later, start + ahead)
            prefetch(latest, start + ahead)
        for lane in range(32):
            lanes[lane] += row[start + lane] * x[start + lane]
            others[lane] += other[start + lane] * x[start + lane]
    for lane in range(x.size - many):
        lanes[lane] += row[many + lane] * x[many + lane]
        others[lane] += other[many + lane] * x[many + lane]
    return sum_of_lanes(lanes, 32), sum_of_lanes(others, 32)


@part_of_kernels
def four_products(
    a: Any, b: Any, c: Any, d: Any, x: Floats, lanes: Floats, others: Floats, e: Any, f: Any, g: Any, h: Any
) -> tuple[float, float, float, float]:
    """Return the products of x with the rows a, b, c and d, while e, f, g and h are brought to the cache."""
    first, second = two_products(a, b, x, lanes, others, e, f)
    third, fourth = two_products(c, d, x, lanes, others, g, h)
    return first, second, third, fourth


@part_of_kernels
def subtract_one(out: Floats, row: Any, weight: float) -> None:
    """Subtract weight row from `out` in place; shapes (d,)."""
    for j in range(out.size):
        out[j] -= weight * row[j]


@part_of_kernels
def subtract_four(out: Floats, a: Any, b: Any, c: Any, d: Any, u: float, v: float, w: float, z: float) -> None:
    """Subtract u a, v b, w c and z d from `out` in place, with the bits of one after the other; shapes (d,)."""
    for j in range(out.size):
        out[j] = out[j] - u * a[j] - v * b[j] - w * c[j] - z * d[j]


@kernel("boolean(float64, float64)")
def _keeps(normal: float, subnormal: float) -> bool:
    """Return whether half of the least normal number, and twice a subnormal one, are above 0 in this process."""
    return normal * 0.5 > 0.0 and subnormal * 2.0 > 0.0


def keeps_subnormals() -> bool:
    """Return whether numbers below 2.2e-308 are kept; a library built with -ffast-math makes them 0 in its process."""
    return bool(_keeps(float(np.finfo(float).tiny), 5e-324))
