"""A data file, opened to be shared: its signed rows are read block by block into where they will stay."""

import numpy as np
import scipy.sparse

from mpisign.comm.shared_arrays import Arrays, Layout, Opened
from mpisign.data.file import DataFile
from mpisign.data.linear_rows import check_features

_BLOCK_ENTRIES = 2**22


def opened_file(file: DataFile) -> Opened:
    """The rows b_i a_i of a data file (see `mpisign.data.linear_rows`), in its own dtype, dense or sparse as it is."""
    layout = _sparse_layout(file) if file.layout.sparse else _dense_layout(file)
    read = _read_sparse if file.layout.sparse else _read_dense
    return layout, lambda arrays: read(file, arrays)


def _dense_layout(file: DataFile) -> Layout:
    return {"rows": ((file.layout.n, file.layout.d), np.dtype(file.layout.dtype))}


def _sparse_layout(file: DataFile) -> Layout:
    n, _, nnz, _, dtype = file.layout
    return {
        "data": ((nnz,), np.dtype(dtype)),
        "indices": ((nnz,), np.dtype(np.int32)),
        "indptr": ((n + 1,), np.dtype(np.int64)),
        "dimension": ((1,), np.dtype(np.int64)),
    }


def _read_dense(file: DataFile, arrays: Arrays) -> None:
    signs = file.labels().astype(file.layout.dtype)[:, None]
    for start, stop in _blocks(file):
        block = np.asarray(file.rows(start, stop))
        _refuse_not_finite(file, block)
        np.multiply(block, signs[start:stop], out=arrays["rows"][start:stop])


def _read_sparse(file: DataFile, arrays: Arrays) -> None:
    signs, entry = file.labels().astype(file.layout.dtype), 0
    arrays["dimension"][0], arrays["indptr"][0] = file.layout.d, 0
    for start, stop in _blocks(file):
        block = scipy.sparse.csr_array(file.rows(start, stop))
        _refuse_not_finite(file, block.data)
        end = entry + block.nnz
        arrays["data"][entry:end] = block.data * np.repeat(signs[start:stop], np.diff(block.indptr))
        arrays["indices"][entry:end] = block.indices
        arrays["indptr"][start + 1 : stop + 1] = block.indptr[1:] + np.int64(entry)
        entry = end


def _blocks(file: DataFile) -> list[tuple[int, int]]:
    n, d, nnz, sparse, _ = file.layout
    step = max(1, _BLOCK_ENTRIES // (-(-nnz // n) or 1 if sparse else d))
    return [(start, min(start + step, n)) for start in range(0, n, step)]


def _refuse_not_finite(file: DataFile, values: "np.ndarray") -> None:
    check_features(values, f"{file.path}: expected finite numbers")
