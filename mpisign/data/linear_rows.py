"""The data of a linear model: rows c_i = b_i a_i, a label times its features; dense or sparse, float32 or float64.

c_i'x is the margin of data point i. Whatever the rows are stored in, products are summed in float64. A `block` serves
many points at once, at the speed of matrix products; `add_loss_gradient` serves a mini-batch and reads each row once.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import scipy.sparse
from typing_extensions import override

from mpisign.arrays import Floats, Indices
from mpisign.comm.shared_arrays import Arrays
from mpisign.compiled.text import Part, Text, composed
from mpisign.config.validation import InputError
from mpisign.fixed_order import exp_of_negative, four_products, product, subtract_four, subtract_one, two_products
from mpisign.jit import kernel

LARGEST = 1e140
"""Features beyond it are refused: their squares, summed over rows and data points, are no float64 numbers."""
Matrix: TypeAlias = Any
"""A float64 array or scipy.sparse.csr_array: what products are written the same for."""


class Rows(ABC):
    """n rows of length d.

    samples: n. dimension: d. arrays: what they are stored in, to be read only.
    """

    samples: int
    dimension: int
    arrays: Arrays

    @abstractmethod
    def loss_part(self) -> Part:
        """Return `add_loss_gradient` as a text(parameters, x, samples, out)."""

    @cached_property
    def add_loss_gradient(self) -> Callable[[Floats, Indices, Floats], None]:
        """Return add(x, samples, out).

        It does out -= mean over `samples` of c_i / (1 + exp(c_i'x)), added in their order; x and out of shape (d,).
        """
        return self.loss_part().function()

    @abstractmethod
    def block(self, start: int, stop: int) -> Matrix:
        """c_i for start <= i < stop as a float64 matrix to multiply with, shape (stop - start, d), dense or CSR."""

    @cached_property
    def sha256(self) -> str:
        """Return the sha256 of the arrays, each with its name, dtype and shape: other rows may have the same bytes."""
        digest = hashlib.sha256()
        for name, array in self.arrays.items():
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(array.data)
        return digest.hexdigest()


class _Dense(NamedTuple):
    """Rows."""

    rows: Any


def _of_dense(subtract: Callable[..., None]) -> Callable[..., None]:
    def add(p: _Dense, x: Floats, samples: Indices, out: Floats) -> None:
        subtract(p.rows, x, samples, out)

    return add


class _Sparse(NamedTuple):
    """Rows in CSR."""

    data: Any
    indices: Any
    indptr: Indices


def _of_sparse(subtract: Callable[..., None]) -> Callable[..., None]:
    def add(p: _Sparse, x: Floats, samples: Indices, out: Floats) -> None:
        subtract(p.data, p.indices, p.indptr, x, samples, out)

    return add


class DenseRows(Rows):
    """arrays: rows, float32 or float64, shape (n, d)."""

    def __init__(self, arrays: Arrays):
        self.arrays, self._rows = arrays, arrays["rows"]
        self.samples, self.dimension = self._rows.shape

    @override
    def loss_part(self) -> Part:
        subtract = _subtract_dense32 if self._rows.dtype == np.float32 else _subtract_dense64
        return composed(_of_dense, _Dense(self._rows), Part(Text.of(subtract), ()))

    def slices(self, x: Floats, samples: Indices) -> Callable[[int, Floats], None]:
        """Return subtract(start, out): the coordinates from `start` on of what `add_loss_gradient` does to `out`."""
        weights = np.empty(len(samples), dtype=x.dtype)
        _weights_of_dense(self._rows, x, samples, weights)
        return lambda start, out: _subtract_slice(self._rows, samples, weights, start, out)

    @override
    def block(self, start: int, stop: int) -> Matrix:
        return self._rows[start:stop].astype(np.float64, copy=False)


class SparseRows(Rows):
    """Rows in CSR.

    Attributes:
        arrays: data, float32 or float64, and indices, int32, shape (nnz,); indptr, int64, shape (n + 1,); dimension,
            int64, shape (1,).
    """

    def __init__(self, arrays: Arrays):
        self.arrays = arrays
        data, indices, indptr = arrays["data"], arrays["indices"], arrays["indptr"]
        self.samples, self.dimension = len(indptr) - 1, int(arrays["dimension"][0])
        self._parts = data, indices, indptr

    @override
    def loss_part(self) -> Part:
        subtract = _subtract_sparse32 if self._parts[0].dtype == np.float32 else _subtract_sparse64
        return composed(_of_sparse, _Sparse(*self._parts), Part(Text.of(subtract), ()))

    @override
    def block(self, start: int, stop: int) -> Matrix:
        data, indices, indptr = self._parts
        first, last = indptr[start], indptr[stop]
        parts = data[first:last].astype(np.float64, copy=False), indices[first:last], indptr[start : stop + 1] - first
        return scipy.sparse.csr_array(parts, shape=(stop - start, self.dimension))


def stored(arrays: Arrays) -> Rows:
    """Return the rows that are stored in `arrays`, dense or sparse by what is there."""
    return DenseRows(arrays) if "rows" in arrays else SparseRows(arrays)


def check_features(values: Floats, expected: str) -> None:
    """Raise InputError, beginning with `expected`, where a feature is a NaN, an infinity or beyond LARGEST."""
    if not np.isfinite(values).all():
        raise InputError("data", f"{expected}, found a NaN or an infinity")
    largest = float(max(values.max(initial=0), -values.min(initial=0)))
    if largest > LARGEST:
        what = f"{expected} of at most {LARGEST:g}, found one of size {largest:.3g}"
        raise InputError("data", f"{what}: its square overflows; measure the features in other units")


def signed(features: Floats, labels: Floats) -> Rows:
    """Return the rows b_i a_i of dense features, shape (n, d), and labels -1 or +1, shape (n,), kept in their dtype.

    Raises InputError for a NaN, an infinity or a feature beyond LARGEST, or for labels that are not -1 and +1.
    """
    check_features(features, "expected finite features")
    if set(np.unique(labels)) != {-1.0, 1.0}:
        raise InputError("data", f"expected the two labels -1 and +1, found {np.unique(labels)[:5]}")
    return DenseRows({"rows": np.ascontiguousarray(features * labels.astype(features.dtype)[:, None])})


@kernel("float64(float64, int64)")
def _pull(margin: float, count: int) -> float:
    """Return 1 / (1 + exp(margin)) / count, by exp of a number <= 0 only: no margin overflows."""
    small = exp_of_negative(-abs(margin))
    return (small if margin >= 0 else 1.0) / (1.0 + small) / count


def _subtract_dense(rows: Any, x: Floats, samples: Indices, out: Floats) -> None:
    """Subtract four rows in a pass, after finding their margins while the next four are fetched: each is read once."""
    lanes, others = np.empty(32, dtype=x.dtype), np.empty(32, dtype=x.dtype)
    n, last, real = samples.size, samples.size - 1, x.dtype.type
    fours = n - n % 4
    for i in range(0, fours, 4):
        a, b, c, d = rows[samples[i]], rows[samples[i + 1]], rows[samples[i + 2]], rows[samples[i + 3]]
        e, f = rows[samples[min(i + 4, last)]], rows[samples[min(i + 5, last)]]
        g, h = rows[samples[min(i + 6, last)]], rows[samples[min(i + 7, last)]]
        first, second, third, fourth = four_products(a, b, c, d, x, lanes, others, e, f, g, h)
        u, v, w, z = real(_pull(first, n)), real(_pull(second, n)), real(_pull(third, n)), real(_pull(fourth, n))
        subtract_four(out, a, b, c, d, u, v, w, z)
    for i in range(fours, n):
        row = rows[samples[i]]
        subtract_one(out, row, real(_pull(product(row, x, lanes), n)))


def _weigh(rows: Any, x: Floats, samples: Indices, weights: Floats) -> None:
    """Write the weights with which `_subtract_dense` subtracts the rows."""
    lanes, others, last = np.empty(32, dtype=x.dtype), np.empty(32, dtype=x.dtype), samples.size - 1
    for i in range(0, samples.size, 2):
        k = min(i + 1, last)
        row, other = rows[samples[i]], rows[samples[k]]
        first, second = two_products(row, other, x, lanes, others, row, other)
        weights[i], weights[k] = _pull(first, samples.size), _pull(second, samples.size)


_PART = 8192
"""Coordinates that are subtracted at a time, of all rows: 64 kB, of which a row is read in one go."""


def _subtract_parts(rows: Any, samples: Indices, weights: Floats, start: int, out: Floats) -> None:
    """Subtract the weighted rows from `out`, their coordinates from `start` on, four rows in a pass, in their order."""
    fours = samples.size - samples.size % 4
    for first in range(start, start + out.size, _PART):
        part = out[first - start : first - start + _PART]
        stop = first + part.size
        for i in range(0, fours, 4):
            a, b = rows[samples[i], first:stop], rows[samples[i + 1], first:stop]
            c, d = rows[samples[i + 2], first:stop], rows[samples[i + 3], first:stop]
            subtract_four(part, a, b, c, d, weights[i], weights[i + 1], weights[i + 2], weights[i + 3])
        for i in range(fours, samples.size):
            subtract_one(part, rows[samples[i], first:stop], weights[i])


def _subtract_sparse(data: Any, indices: Any, indptr: Indices, x: Floats, samples: Indices, out: Floats) -> None:
    for i in samples:
        margin = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            margin += data[p] * x[indices[p]]
        weight = x.dtype.type(_pull(margin, samples.size))
        for p in range(indptr[i], indptr[i + 1]):
            out[indices[p]] -= weight * data[p]


_VECTORS = "float64[::1], int64[::1], float64[::1])"


def _both(rows: str) -> tuple[str, str]:
    """Return the signatures of x and a gradient in float64, and in float32."""
    return f"void({rows}, {_VECTORS}", f"void({rows}, {_VECTORS.replace('float64', 'float32')}"


_subtract_dense32 = kernel(*_both("float32[:, ::1]"))(_subtract_dense)
_subtract_dense64 = kernel(f"void(float64[:, ::1], {_VECTORS}")(_subtract_dense)
_SLICE = "float64[::1], int64, float64[::1])"
_weights_of_dense = kernel(*_both("float32[:, ::1]"), f"void(float64[:, ::1], {_VECTORS}")(_weigh)
_subtract_slice = kernel(
    f"void(float32[:, ::1], int64[::1], {_SLICE}",
    f"void(float32[:, ::1], int64[::1], {_SLICE.replace('float64', 'float32')}",
    f"void(float64[:, ::1], int64[::1], {_SLICE}",
)(_subtract_parts)
_subtract_sparse32 = kernel(*_both("float32[::1], int32[::1], int64[::1]"))(_subtract_sparse)
_subtract_sparse64 = kernel(f"void(float64[::1], int32[::1], int64[::1], {_VECTORS}")(_subtract_sparse)
