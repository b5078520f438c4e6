"""One pass over dense rows, each read once, four at a time: their margins, then what they add to a sum.

Sums over coordinates are of 32 lanes in a fixed tree, those over rows in their order, all in float64: the bits depend
on the data alone. The rows are float32 or float64.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mpisign.arrays import Floats
from mpisign.fixed_order import exp_of_negative, four_products, product, subtract_four, subtract_one, sum_of_lanes
from mpisign.jit import kernel, part_of_kernels


class DensePasses(NamedTuple):
    """The passes over rows of one dtype, rows of shape (m, d); s is the logistic function.

    Attributes:
        losses: (rows, x, n, losses, weights, out): losses[i] = log(1 + exp(-c_i'x)), weights[i] = w_i / n with
            w_i = s (1 - s) at c_i'x, out -= sum of c_i / (1 + exp(c_i'x)) / n.
        curvature: (rows, weights, direction, out): out += sum of weights_i c_i c_i'direction.
        weights: (rows, x, n, weights): weights[i] = w_i / n.
        sizes: (rows, x, margins, out): margins[i] = |c_i|'x, out[0] += sum of |c_i|, out[1] += sum of margins_i |c_i|.
        squares: (rows, out): out += sum of the squares of the entries of c_i.
    """

    losses: Callable[[Floats, Floats, float, Floats, Floats, Floats], None]
    curvature: Callable[[Floats, Floats, Floats, Floats], None]
    weights: Callable[[Floats, Floats, float, Floats], None]
    sizes: Callable[[Floats, Floats, Floats, Floats], None]
    squares: Callable[[Floats, Floats], None]


@part_of_kernels
def _loss(margin: float, n: float, i: int, losses: Floats, weights: Floats) -> float:
    """Write the loss and the weight of row i; return its pull, 1 / (1 + exp(margin)) / n."""
    small = exp_of_negative(-abs(margin))
    weights[i] = small / (1.0 + small) / (1.0 + small) / n
    losses[i] = math.log1p(small) + (0.0 if margin >= 0 else -margin)
    return (small if margin >= 0 else 1.0) / (1.0 + small) / n


@part_of_kernels
def _products(rows: Any, i: int, x: Floats, lanes: Floats, others: Floats) -> tuple[float, float, float, float]:
    """Return the products of x with the rows i to i + 3, while the next four are brought to the cache."""
    last = len(rows) - 1
    e, f, g, h = rows[min(i + 4, last)], rows[min(i + 5, last)], rows[min(i + 6, last)], rows[min(i + 7, last)]
    return four_products(rows[i], rows[i + 1], rows[i + 2], rows[i + 3], x, lanes, others, e, f, g, h)


def _losses(rows: Any, x: Floats, n: float, losses: Floats, weights: Floats, out: Floats) -> None:
    lanes, others, m = np.empty(32), np.empty(32), len(rows)
    fours = m - m % 4
    for i in range(0, fours, 4):
        first, second, third, fourth = _products(rows, i, x, lanes, others)
        u, v = _loss(first, n, i, losses, weights), _loss(second, n, i + 1, losses, weights)
        w, z = _loss(third, n, i + 2, losses, weights), _loss(fourth, n, i + 3, losses, weights)
        subtract_four(out, rows[i], rows[i + 1], rows[i + 2], rows[i + 3], u, v, w, z)
    for i in range(fours, m):
        subtract_one(out, rows[i], _loss(product(rows[i], x, lanes), n, i, losses, weights))


def _curvature(rows: Any, weights: Floats, direction: Floats, out: Floats) -> None:
    lanes, others, m = np.empty(32), np.empty(32), len(rows)
    fours = m - m % 4
    for i in range(0, fours, 4):
        first, second, third, fourth = _products(rows, i, direction, lanes, others)
        u, v = -weights[i] * first, -weights[i + 1] * second
        w, z = -weights[i + 2] * third, -weights[i + 3] * fourth
        subtract_four(out, rows[i], rows[i + 1], rows[i + 2], rows[i + 3], u, v, w, z)
    for i in range(fours, m):
        subtract_one(out, rows[i], -weights[i] * product(rows[i], direction, lanes))


def _weights(rows: Any, x: Floats, n: float, weights: Floats) -> None:
    lanes = np.empty(32)
    for i in range(len(rows)):
        small = exp_of_negative(-abs(product(rows[i], x, lanes)))
        weights[i] = small / (1.0 + small) / (1.0 + small) / n


def _sizes(rows: Any, x: Floats, margins: Floats, out: Floats) -> None:
    lanes = np.empty(32)
    many = x.size - x.size % 32
    for i in range(len(rows)):
        row = rows[i]
        lanes[:] = 0.0
        for start in range(0, many, 32):
            for lane in range(32):
                lanes[lane] += abs(row[start + lane]) * x[start + lane]
        for lane in range(x.size - many):
            lanes[lane] += abs(row[many + lane]) * x[many + lane]
        margins[i] = sum_of_lanes(lanes, 32)
        for j in range(x.size):
            size = 1.0 * abs(row[j])
            out[0, j] += size
            out[1, j] += margins[i] * size


def _squares(rows: Any, out: Floats) -> None:
    for i in range(len(rows)):
        row = rows[i]
        for j in range(out.size):
            entry = 1.0 * row[j]  # float64; float() would leave float32
            out[j] += entry * entry


def _of(dtype: str) -> DensePasses:
    """Return the passes over rows of a dtype."""
    rows, vector, matrix = f"void({dtype}[:, ::1]", "float64[::1]", "float64[:, ::1]"
    return DensePasses(
        kernel(f"{rows}, {vector}, float64, {vector}, {vector}, {vector})")(_losses),
        kernel(f"{rows}, {vector}, {vector}, {vector})")(_curvature),
        kernel(f"{rows}, {vector}, float64, {vector})")(_weights),
        kernel(f"{rows}, {vector}, {vector}, {matrix})")(_sizes),
        kernel(f"{rows}, {vector})")(_squares),
    )


PASSES = {np.dtype(dtype): _of(dtype) for dtype in ("float32", "float64")}
"""By the dtype of the rows."""
