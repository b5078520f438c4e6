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

import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import h5py
import numpy as np
import scipy.sparse

from mpisign._version import __version__
from mpisign.arrays import Floats, Indices, Signs
from mpisign.config.validation import InputError, shown
from mpisign.data.csr import Matrix, Values
from mpisign.storage.checksum import BYTES as SEAL_BYTES
from mpisign.storage.checksum import seal
from mpisign.storage.disk_file import find_room, reserve
from mpisign.storage.hdf5 import Attributes, Source, reading, typed

_OURS, SCHEMA = "mpisign-data/", "mpisign-data/1"
_BLOCK_BYTES = 2**24
_METADATA_BYTES = 2**15

VERIFIED_BYTES = 10**9
"""Up to this size a file is hashed whenever it is read; a larger one by `mpisign data info --verify`."""


class Layout(NamedTuple):
    """What a file holds: n rows of d features, nnz entries in the source: when sparse, those that are stored."""

    n: int
    d: int
    nnz: int
    sparse: bool
    dtype: str

    def arrays(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Return shape and dtype of each array, in the order in which they are hashed."""
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
    """A data file that is being written, from its first row to its last; complete after `finish`.

    layout: all that will be in it. Raises OSError where the disk has no room for that, which is taken before.
    """

    def __init__(self, path: Path, layout: Layout):
        self._layout, self._row, self._entry, self._positive = layout, 0, 0, 0
        self._path, self._finished = path, False
        arrays = layout.arrays().items()
        size = sum(math.prod(shape) * np.dtype(dtype).itemsize for _, (shape, dtype) in arrays)
        find_room(path, size + 2 * _METADATA_BYTES + SEAL_BYTES)
        self._file = h5py.File(path, "w", meta_block_size=_METADATA_BYTES)
        self._file.attrs.update({"schema": SCHEMA, "status": "writing"})
        early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        for name, (shape, dtype) in arrays:
            self._file.create_dataset(name, shape=shape, dtype=dtype, fill_time="never", dcpl=early)
        self._keep_room()
        if layout.sparse:
            self._file["csr/indptr"][0] = 0

    def _keep_room(self) -> None:
        """Take the room of all arrays and of the first block of metadata, into which everything goes from here on."""
        self._file.flush()
        handle = self._file.id.get_vfd_handle()
        try:
            reserve(handle, os.fstat(handle).st_size)
        except OSError:  # somebody else took it in between: give back what there is
            self._path.unlink()
            self._file.close()
            raise

    def append(self, features: Matrix, labels: Signs, norms: Floats) -> None:
        """Append the next rows, shape (m, d), with their labels and 2-norms, shape (m,)."""
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
        """Append block by block: sparse rows may be large as dense ones."""
        rows, step = features.shape[0], max(1, _BLOCK_BYTES // (8 * self._layout.d))
        for start in range(0, rows, step):
            block = features[start : start + step]
            dense = block.toarray() if isinstance(block, scipy.sparse.csr_array) else block
            self._file["features"][self._row + start : self._row + start + len(dense)] = dense

    def finish(self, attributes: Mapping[str, Any]) -> None:
        """Add the attributes and the hash, now that all rows are there, and only then call the file complete."""
        layout = self._layout
        self._file.attrs.update({"n": layout.n, "d": layout.d, "nnz": layout.nnz, "positive": self._positive})
        self._file.attrs["density"] = layout.nnz / (layout.n * layout.d)
        self._file.attrs.update({"created": datetime.now(UTC).isoformat(timespec="seconds"), "mpisign": __version__})
        self._file.attrs.update(attributes)
        self._file.attrs["sha256"] = _content_sha256(self._file, layout)
        self._sync()
        self._file.attrs["status"] = "complete"
        self._sync()
        self._finished = True

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.id.get_vfd_handle())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._finished:
            seal(self._path)


class OtherFile(InputError):
    """An HDF5 file that is no data file of ours, of any version."""


class DataFile:
    """A complete data file, to read.

    Raises InputError, key "data", naming the file, when it cannot be opened, is of another schema, is not complete, or
    has not the arrays that it says; OtherFile when it does not say to be a data file. The arrays are read when asked
    for. Its seal is checked up to a size of 1 GB; sealed: whether it was.
    """

    def __init__(self, path: Path):
        self.path = path
        with self._source(VERIFIED_BYTES) as source:
            self.sealed = source.sealed
            self._check_status(source)
            self.attributes: dict[str, Any] = source.attributes(source.root)
            self.layout = _layout(source, self.attributes)
            self._check_arrays(source)
            _check_attributes(self.attributes, self.layout)

    @contextmanager
    def _source(self, sealed: int = 0) -> Iterator[Source]:
        try:
            with reading(self.path, "a data file made by mpisign data", sealed) as source:
                yield source
        except InputError as error:
            raise (error if error.key == "data" else InputError("data", str(error))) from None

    def rows(self, start: int, stop: int) -> Matrix:
        """Return rows start to stop - 1, an array or a csr_array, as stored; raise InputError for a broken CSR."""
        with self._source() as source:
            if not self.layout.sparse:
                dense: Values = source.dataset(source.root, "features")[start:stop]
                return dense
            indptr = source.dataset(source.root, "csr/indptr")[start : stop + 1]
            self._check_indptr(indptr, start, stop)
            entries = slice(int(indptr[0]), int(indptr[-1]))
            data, indices = (source.dataset(source.root, f"csr/{name}")[entries] for name in ("data", "indices"))
        try:
            rows = scipy.sparse.csr_array((data, indices, indptr - indptr[0]), shape=(len(indptr) - 1, self.layout.d))
            rows.check_format(full_check=True)
        except ValueError as error:
            raise self._refusal(f"broken CSR arrays: {error}") from None
        return rows

    def _check_indptr(self, indptr: Indices, start: int, stop: int) -> None:
        """Check that a kernel that follows it looks nowhere else than into the rows."""
        n, nnz = self.layout.n, self.layout.nnz
        ends = (start == 0) <= (indptr[0] == 0) and (stop >= n) <= (indptr[-1] == nnz)
        if not ends or indptr[0] < 0 or indptr[-1] > nnz or (np.diff(indptr) < 0).any():
            raise self._refusal("broken CSR arrays: indptr does not increase from 0 to nnz")

    def features(self) -> Matrix:
        """Return all rows."""
        return self.rows(0, self.layout.n)

    def labels(self) -> Signs:
        """int8, -1 or +1, shape (n,); raises InputError for other numbers."""
        with self._source() as source:
            labels: Signs = source.read(source.dataset(source.root, "labels"))
        positive = int((labels == 1).sum())
        if positive != self.attributes["positive"] or positive + int((labels == -1).sum()) != len(labels):
            expected = f"expected labels -1 and +1, {self.attributes['positive']} of them +1"
            values = shown(np.unique(labels).tolist())
            raise self._refusal(f"{expected}; found {positive} of them, and the values {values}")
        return labels

    def row_norms(self) -> Floats:
        """Return the 2-norms, float64, shape (n,)."""
        with self._source() as source:
            return source.read(source.dataset(source.root, "row_norms"))

    def verify(self) -> None:
        """Hash the content again; raises InputError when it is not what was written."""
        with self._source() as source:
            found = _content_sha256(source.root, self.layout)
        if found != self.attributes["sha256"]:
            raise self._refusal(f"the content was changed: its sha256 is {found}, expected {self.attributes['sha256']}")

    def _check_status(self, source: Source) -> None:
        found, status = (source.root.attrs.get(name) for name in ("schema", "status"))
        if found != SCHEMA:
            kind = InputError if str(found).startswith(_OURS) else OtherFile
            raise kind("data", f"{self.path}: expected a data file of schema {SCHEMA}, found {shown(found)}")
        if status != "complete":
            raise self._refusal("this data file was never finished; make it again with mpisign data")

    def _check_arrays(self, source: Source) -> None:
        for name, (shape, dtype) in self.layout.arrays().items():
            array = source.dataset(source.root, name)
            if array.shape != shape or array.dtype != dtype:
                expected, found = f"{dtype} of shape {shape}", f"{array.dtype} of shape {array.shape}"
                raise self._refusal(f"{name}: expected {expected}, found {found}")
            source.check(array)

    def _refusal(self, complaint: str) -> InputError:
        return InputError("data", f"{self.path}: {complaint}")


def is_data_file(path: Path) -> bool:
    """Return whether it is an HDF5 file that says to be a data file, of any version, finished or not."""
    try:
        with reading(path, "a data file", VERIFIED_BYTES) as source:
            return str(source.root.attrs.get("schema")).startswith(_OURS)
    except InputError:
        return False


def _layout(source: Source, attributes: Attributes) -> Layout:
    n, d, nnz = (typed(attributes, name, int) for name in ("n", "d", "nnz"))
    sparse = "csr" in source.root
    dtype = str(source.dataset(source.root, "csr/data" if sparse else "features").dtype)
    if dtype not in ("float32", "float64"):
        raise ValueError(f"features: expected float32 or float64, found {dtype}")
    if not (0 < n < 2**63 and 0 < d <= 2**31 and 0 <= nnz <= n * d):
        raise ValueError(f"expected n, d > 0 and nnz from 0 to n d, found n = {n}, d = {d}, nnz = {nnz}")
    return Layout(n, d, nnz, sparse, dtype)


def _check_attributes(attributes: Attributes, layout: Layout) -> None:
    """Check what is said besides; the density says d once more, which a sparse file's arrays do not."""
    for name in ("source", "source_sha256", "sha256", "created", "mpisign"):
        typed(attributes, name, str)
    typed(attributes, "positive", int)
    if typed(attributes, "density", float) != layout.nnz / (layout.n * layout.d):
        raise ValueError("the density is not nnz / (n d)")
    values = np.asarray(attributes.get("label_values"))
    if values.shape != (2,) or values.dtype.kind != "f" or not np.isfinite(values).all():
        raise ValueError(f"expected two numbers as label_values, found {shown(values.tolist())}")
    if "first_index" in attributes and typed(attributes, "first_index", int) not in (0, 1):
        raise ValueError("expected 0 or 1 as first_index")


def _content_sha256(file: h5py.File, layout: Layout) -> str:
    digest = hashlib.sha256()
    for name in layout.arrays():
        array = file[name]
        step = max(1, _BLOCK_BYTES // (array.dtype.itemsize * int(np.prod(array.shape[1:]))))
        for start in range(0, len(array), step):
            digest.update(array[start : start + step])
    return digest.hexdigest()
