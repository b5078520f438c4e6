"""The data file (HDF5): its schema, its writer and its reader.

    /               attrs: schema, status, source, source_sha256, sha256, n, d, nnz, density, positive,
                           label_values, created, mpisign
        features    (n, d) float32 or float64, contiguous                          a dense file, or
        csr/        data (nnz,) float32 or float64, indices (nnz,) int32, indptr (n + 1,) int64
        labels      (n,) int8, -1 or +1
        row_norms   (n,) float64, 2-norms

A converted file has the attribute `first_index` too, 0 or 1, the source's first index.
`status` is "complete" only in a file that is. `sha256` is of the arrays' bytes, one array after the other in the
order above; `label_values` are the source's labels that became -1 and +1.
"""

import errno
import hashlib
import math
import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import h5py
import numpy as np
import scipy.sparse

from mpisign import __version__
from mpisign.arrays import Floats, Signs
from mpisign.data.rows import Matrix, Values
from mpisign.settings import BadInput

SCHEMA = "mpisign-data/1"
_BLOCK_BYTES = 2**24
_METADATA_BYTES = 2**15


class Layout(NamedTuple):
    """What a file holds: n rows of d features, nnz of them stored when sparse, not zero when dense."""

    n: int
    d: int
    nnz: int
    sparse: bool
    dtype: str

    def arrays(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape and dtype of each array, in the order in which they are hashed."""
        features: dict[str, tuple[tuple[int, ...], str]]
        if self.sparse:
            csr = {
                "data": ((self.nnz,), self.dtype),
                "indices": ((self.nnz,), "int32"),
                "indptr": ((self.n + 1,), "int64"),
            }
            features = {f"csr/{name}": array for name, array in csr.items()}
        else:
            features = {"features": ((self.n, self.d), self.dtype)}
        return {**features, "labels": ((self.n,), "int8"), "row_norms": ((self.n,), "float64")}


class DataWriter:
    """A data file that is being written, from its first row to its last."""

    def __init__(self, path: Path, layout: Layout):
        self._layout, self._row, self._entry, self._positive = layout, 0, 0, 0
        arrays = layout.arrays().items()
        size = sum(math.prod(shape) * np.dtype(dtype).itemsize for _, (shape, dtype) in arrays)
        _find_room(path, size + 2 * _METADATA_BYTES)
        self._file = h5py.File(path, "w", meta_block_size=_METADATA_BYTES)
        self._file.attrs.update({"schema": SCHEMA, "status": "writing"})
        early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        for name, (shape, dtype) in arrays:
            self._file.create_dataset(name, shape=shape, dtype=dtype, fill_time="never", dcpl=early)
        self._keep_room(path)
        if layout.sparse:
            self._file["csr/indptr"][0] = 0

    def _keep_room(self, path: Path) -> None:
        """Take the room of all arrays and of the first block of metadata, into which everything goes from here on."""
        self._file.flush()
        handle = self._file.id.get_vfd_handle()
        try:
            _reserve(handle, os.fstat(handle).st_size)
        except OSError:  # somebody else took it in between: give back what there is
            path.unlink()
            self._file.close()
            raise

    def append(self, features: Matrix, labels: Signs, norms: Floats) -> None:
        """The next rows, shape (m, d), with their labels and 2-norms, shape (m,)."""
        if self._layout.sparse:
            self._append_sparse(scipy.sparse.csr_array(features))
        else:
            self._append_dense(features)
        stop = self._row + len(labels)
        self._file["labels"][self._row : stop] = labels
        self._file["row_norms"][self._row : stop] = norms
        self._row, self._positive = stop, self._positive + int((labels == 1).sum())

    def _append_sparse(self, features: "scipy.sparse.csr_array[Any]") -> None:
        stop = self._entry + features.nnz
        self._file["csr/data"][self._entry : stop] = features.data
        self._file["csr/indices"][self._entry : stop] = features.indices
        first = self._row + 1
        self._file["csr/indptr"][first : first + features.shape[0]] = features.indptr[1:] + np.int64(self._entry)
        self._entry = stop

    def _append_dense(self, features: Matrix) -> None:
        """Block by block: sparse rows may be large as dense ones."""
        rows, step = features.shape[0], max(1, _BLOCK_BYTES // (8 * self._layout.d))
        for start in range(0, rows, step):
            block = features[start : start + step]
            dense = block.toarray() if isinstance(block, scipy.sparse.csr_array) else block
            self._file["features"][self._row + start : self._row + start + len(dense)] = dense

    def finish(self, attributes: Mapping[str, Any]) -> None:
        """All rows are there: add the attributes and the hash, and only then call the file complete."""
        layout = self._layout
        self._file.attrs.update({"n": layout.n, "d": layout.d, "nnz": layout.nnz, "positive": self._positive})
        self._file.attrs["density"] = layout.nnz / (layout.n * layout.d)
        self._file.attrs.update({"created": datetime.now(UTC).isoformat(timespec="seconds"), "mpisign": __version__})
        self._file.attrs.update(attributes)
        self._file.attrs["sha256"] = _content_sha256(self._file, layout)
        self._sync()
        self._file.attrs["status"] = "complete"
        self._sync()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.id.get_vfd_handle())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class DataFile:
    """A complete data file, to read.

    Raises BadInput, key "data", naming the file, when it cannot be opened, is of another schema, is not complete, or
    has not the arrays that it says. The arrays are read when asked for.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            with h5py.File(path, "r") as file:
                self.attributes: dict[str, Any] = dict(file.attrs)
                self._check_status()
                self.layout = _layout(file)
                self._check_arrays(file)
        except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise (
                error if isinstance(error, BadInput) else self._refusal(f"cannot read this data file: {error}")
            ) from None

    def rows(self, start: int, stop: int) -> Matrix:
        """Rows start to stop - 1: an array or a csr_array, of the file's dtype. Raises BadInput for a broken CSR."""
        with h5py.File(self.path, "r") as file:
            if not self.layout.sparse:
                dense: Values = file["features"][start:stop]
                return dense
            indptr = file["csr/indptr"][start : stop + 1]
            data, indices = (file[f"csr/{name}"][indptr[0] : indptr[-1]] for name in ("data", "indices"))
        try:
            rows = scipy.sparse.csr_array((data, indices, indptr - indptr[0]), shape=(len(indptr) - 1, self.layout.d))
            rows.check_format(full_check=True)
        except ValueError as error:
            raise self._refusal(f"broken CSR arrays: {error}") from None
        return rows

    def features(self) -> Matrix:
        """All rows."""
        return self.rows(0, self.layout.n)

    def labels(self) -> Signs:
        """int8, -1 or +1, shape (n,)."""
        with h5py.File(self.path, "r") as file:
            labels: Signs = file["labels"][()]
            return labels

    def row_norms(self) -> Floats:
        """float64, 2-norms, shape (n,)."""
        with h5py.File(self.path, "r") as file:
            norms: Floats = file["row_norms"][()]
            return norms

    def verify(self) -> None:
        """Hash the content again; raises BadInput when it is not what was written."""
        try:
            with h5py.File(self.path, "r") as file:
                found = _content_sha256(file, self.layout)
        except OSError as error:
            raise self._refusal(f"cannot read this data file: {error}") from None
        if found != self.attributes["sha256"]:
            raise self._refusal(f"the content was changed: its sha256 is {found}, expected {self.attributes['sha256']}")

    def _check_status(self) -> None:
        if self.attributes.get("schema") != SCHEMA:
            raise self._refusal(f"expected a data file of schema {SCHEMA}, found {self.attributes.get('schema')}")
        if self.attributes.get("status") != "complete":
            raise self._refusal("this data file was never finished; make it again with mpisign data")

    def _check_arrays(self, file: h5py.File) -> None:
        for name, (shape, dtype) in self.layout.arrays().items():
            if file[name].shape != shape or file[name].dtype != dtype:
                expected, found = f"{dtype} of shape {shape}", f"{file[name].dtype} of shape {file[name].shape}"
                raise self._refusal(f"{name}: expected {expected}, found {found}")

    def _refusal(self, complaint: str) -> BadInput:
        return BadInput("data", f"{self.path}: {complaint}")


def is_data_file(path: Path) -> bool:
    """Whether it is an HDF5 file that says to be a data file, of any version, finished or not."""
    try:
        with h5py.File(path, "r") as file:
            return str(file.attrs.get("schema", "")).startswith("mpisign-data/")
    except OSError:
        return False


def _find_room(path: Path, size: int) -> None:
    """Make sure of room on the disk before HDF5 writes, which may crash where it meets a full one.

    Raises OSError, and leaves nothing: a reservation that fails keeps what it got, which would be all that was left.
    """
    if shutil.disk_usage(path.parent).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with path.open("wb") as file:
        try:
            _reserve(file.fileno(), size)
        except OSError:
            path.unlink()
            raise


def _reserve(handle: int, size: int) -> None:
    """Take the room, where the system has a call for it; macOS has none, and there it is only looked for."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)


def _layout(file: h5py.File) -> Layout:
    n, d, nnz = (int(file.attrs[name]) for name in ("n", "d", "nnz"))
    sparse = "csr" in file
    dtype = str(file["csr/data" if sparse else "features"].dtype)
    if dtype not in ("float32", "float64"):
        raise ValueError(f"expected float32 or float64, found {dtype}")
    return Layout(n, d, nnz, sparse, dtype)


def _content_sha256(file: h5py.File, layout: Layout) -> str:
    digest = hashlib.sha256()
    for name in layout.arrays():
        array = file[name]
        step = max(1, _BLOCK_BYTES // (array.dtype.itemsize * int(np.prod(array.shape[1:]))))
        for start in range(0, len(array), step):
            digest.update(array[start : start + step])
    return digest.hexdigest()
