"""Rows of features as they are handed around: dense or CSR."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from mpisign.arrays import Floats, Indices

Values: TypeAlias = NDArray[np.floating[Any]]
"""Stored numbers: float32 or float64."""

Matrix: TypeAlias = Values | scipy.sparse.csr_array[Any]
"""Features, shape (n, d): a C-contiguous array, or CSR with sorted indices."""


class Csr(NamedTuple):
    """The arrays of CSR while its width is not known: row i has values[indptr[i]:indptr[i + 1]] at those indices."""

    values: Values
    indices: NDArray[np.int32]
    indptr: Indices


def row_norms(values: Values, indptr: Indices) -> Floats:
    """Return the 2-norm of each row, float64, shape (n,); row i is values[indptr[i]:indptr[i + 1]].

    Each row is divided by its largest magnitude first, so that no square overflows; a norm depends on its row only.
    """
    norms = np.zeros(len(indptr) - 1)
    lengths = np.diff(indptr)
    filled = lengths > 0
    if filled.any():
        starts = indptr[:-1][filled]
        sizes = np.abs(values.astype(np.float64))
        largest = np.maximum.reduceat(sizes, starts)
        largest[largest == 0] = 1.0
        sizes /= np.repeat(largest, lengths[filled])
        with np.errstate(over="ignore"):  # a norm beyond float64 is an infinity
            norms[filled] = largest * np.sqrt(np.add.reduceat(np.square(sizes), starts))
    return norms
