"""Data sets: the bundled ones, and files."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import scipy.sparse

from mpisign.arrays import Floats
from mpisign.comm.shared_arrays import Arrays, Opened, copied
from mpisign.config.validation import InputError, closest, shown
from mpisign.data.bundled import BUNDLED, SPARSE
from mpisign.data.compression import BOM, content
from mpisign.data.csr import Csr
from mpisign.data.file import VERIFIED_BYTES, DataFile, OtherFile
from mpisign.data.linear_rows import check_features, signed
from mpisign.data.shared_rows import opened_file
from mpisign.storage.checksum import check_seal
from mpisign.storage.hdf5 import is_hdf5, reading

_DENSE_BYTES, _TEXT_BYTES = 2**32, 2**30
"""Of features that are read as dense numbers, and of text that is not converted first."""
_LIMIT = f"limit {_DENSE_BYTES >> 30} GB"

T = TypeVar("T")
Scaling: TypeAlias = Literal["raw", "standardised", "unit-rows"]
"""raw: as the data is. standardised: each feature of mean 0 and variance 1. unit-rows: standardised, then each
row of length 1, as epsilon has it."""


def usual_scaling(name: str) -> Scaling:
    """Of a data set whose job names none."""
    return "unit-rows" if name in BUNDLED and name not in SPARSE else "raw"


def opened(name: str, scaling: Scaling | None = None) -> Opened:
    """Return the rows b_i a_i of a data set, to be shared (`mpisign.data.linear_rows`); see `load` for the arguments.

    As they are, scaling "raw", a data file keeps its dtype and stays sparse, so does a sparse bundled set, and LIBSVM
    text becomes the arrays of the data file that `mpisign data convert` would make of it; everything else becomes dense
    float64.
    """
    file = None if name in BUNDLED else _data_file(Path(name))
    raw = (scaling or usual_scaling(name)) == "raw"
    if raw and name in SPARSE:
        return copied(_signed_csr(*BUNDLED[name]()))
    if file is None:
        text = raw and name not in BUNDLED and _is_file(Path(name)) and not is_hdf5(Path(name))
        return copied(_named(name, partial(_text_rows, name)) if text else signed(*load(name, scaling)).arrays)
    if raw:
        return opened_file(file)
    if file.layout.sparse:
        raise InputError("scaling", f'expected "raw" for sparse data, got {shown(scaling)}: scaled it would be dense')
    return copied(signed(*_prepared(name, *_read_data_file(file), scaling)).arrays)


def load(name: str, scaling: Scaling | None = None) -> tuple[Floats, Floats]:
    """Return features, float64, shape (n, d), and labels -1 or +1, shape (n,).

    name: a bundled set, a data file made by `mpisign data`, another HDF5 file with the datasets `features` and
    `labels`, or a LIBSVM text file. scaling None: that of `usual_scaling`. A data file of up to 1 GB is checked
    against its hash; a larger one only by `mpisign data info --verify`. Raises InputError, naming the key or the file.
    """
    if name in BUNDLED:
        features, labels = BUNDLED[name]()
        dense = features.toarray() if name in SPARSE else features
        return _scaled(dense, scaling or usual_scaling(name)), labels
    path = Path(name)
    if not _is_file(path):
        raise InputError("data", f"no file and no bundled data set {shown(name)}; {closest(name, list(BUNDLED))}")
    return _named(name, lambda: _prepared(name, *_read(path), scaling))


def _named(name: str, read: Callable[[], T]) -> T:
    """Return what `read` gives; every complaint of it has the key "data"."""
    try:
        return read()
    except InputError as error:
        raise (error if error.key == "data" else InputError("data", str(error))) from None
    except OSError as error:
        raise InputError("data", f"{name}: cannot read this file: {error.strerror}") from None


def _prepared(name: str, features: Floats, labels: Floats, scaling: Scaling | None) -> tuple[Floats, Floats]:
    check_features(features, f"{name}: expected finite numbers")
    check_features(labels, f"{name}: expected finite numbers")
    signs = _as_signs(labels, name)
    return _scaled(features, scaling or usual_scaling(name)), signs


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def _read(path: Path) -> tuple[Floats, Floats]:
    file = _data_file(path)
    if file is not None:
        return _read_data_file(file)
    return _read_hdf5(path) if is_hdf5(path) else _read_libsvm(path)


def _data_file(path: Path) -> DataFile | None:
    """Return the data file, hashed once; None where it is something else."""
    if not is_hdf5(path):
        return None
    try:
        file = DataFile(path)
    except OtherFile:
        return None
    if not file.sealed and path.stat().st_size <= VERIFIED_BYTES:
        file.verify()
    return file


def _read_data_file(file: DataFile) -> tuple[Floats, Floats]:
    if _too_large(file.layout.n, file.layout.d):
        raise InputError("data", f'{file.path}: too large to be scaled in memory ({_LIMIT}); set scaling = "raw"')
    features = file.features()
    dense = features.toarray() if isinstance(features, scipy.sparse.csr_array) else features
    return np.ascontiguousarray(dense, dtype=np.float64), file.labels().astype(np.float64)


def _too_large(n: int, d: int) -> bool:
    return 8 * n * d > _DENSE_BYTES


def _read_hdf5(path: Path) -> tuple[Floats, Floats]:
    with reading(path, "an HDF5 file with the numeric datasets features and labels") as source:
        features, labels = (source.dataset(source.root, name) for name in ("features", "labels"))
        if features.ndim != 2 or labels.shape != features.shape[:1] or not features.size:
            shapes = f"{features.shape} and {labels.shape}"
            raise ValueError(f"expected features of shape (n, d) and labels of shape (n,), got {shapes}")
        if _too_large(*features.shape):
            what = f"{path}: too large to be read as dense numbers ({_LIMIT})"
            raise InputError("data", f"{what}; write it as LIBSVM text and give that to mpisign data convert")
        return source.read(features).astype(np.float64), source.read(labels).astype(np.float64)


def _read_libsvm(path: Path) -> tuple[Floats, Floats]:
    features, labels = _sparse_text(path)
    return _dense(path, features), labels


def _text_rows(name: str) -> Arrays:
    """Return the rows b_i a_i of LIBSVM text.

    They are CSR up to the density at which `mpisign data convert` makes an array of it.
    """
    from mpisign.data.tally import DENSE

    path = Path(name)
    features, labels = _sparse_text(path)
    check_features(features.data, f"{name}: expected finite numbers")
    signs, (n, d) = _as_signs(labels, name), features.shape
    if features.nnz > DENSE * n * d:
        return signed(_dense(path, features), signs).arrays
    return _signed_csr(features, signs)


def _signed_csr(features: "scipy.sparse.csr_array[Any]", signs: Floats) -> Arrays:
    """Return the rows b_i a_i in CSR, as `mpisign.data.linear_rows.SparseRows` has them."""
    data = features.data * np.repeat(signs, np.diff(features.indptr))
    indices, indptr = features.indices.astype(np.int32), features.indptr.astype(np.int64)
    return {"data": data, "indices": indices, "indptr": indptr, "dimension": np.array([features.shape[1]])}


def _dense(path: Path, features: "scipy.sparse.csr_array[Any]") -> Floats:
    if _too_large(*features.shape):
        raise InputError(
            "data", f"{path}: too large to be read as dense numbers ({_LIMIT}); mpisign data convert first"
        )
    return np.asarray(features.toarray(), dtype=np.float64)


def _sparse_text(path: Path) -> "tuple[scipy.sparse.csr_array[Any], Floats]":
    if path.stat().st_size <= VERIFIED_BYTES:
        check_seal(path)  # what is left of a file of ours whose beginning is damaged
    labels, (values, indices, indptr) = _text(path)
    first = min(int(indices.min(initial=1)), 1)
    d = int(indices.max(initial=first)) + 1 - first
    return scipy.sparse.csr_array((values, indices - first, indptr), shape=(len(labels), d)), labels


def _text(path: Path) -> tuple[Floats, Csr]:
    from mpisign.data.libsvm import parse  # its kernels take a tenth of a second, which few runs need

    block = content(path, _TEXT_BYTES).removeprefix(BOM)
    return parse(block + b"\n" * (not block.endswith(b"\n")), "float64", f"{path}, expected LIBSVM text or HDF5")


def _as_signs(labels: Floats, name: str) -> Floats:
    classes = np.unique(labels)
    if len(classes) != 2:
        raise InputError("data", f"{name}: expected labels of two classes, found {len(classes)}: {classes[:5]}")
    return np.where(labels == classes[1], 1.0, -1.0)


def _scaled(features: Floats, scaling: Scaling) -> Floats:
    if scaling == "raw":
        return features
    varies = np.ptp(features, axis=0) > 0
    scaled = np.where(varies, features - features.mean(axis=0), 0.0) / np.where(varies, features.std(axis=0), 1.0)
    if scaling == "unit-rows":
        lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
        scaled = scaled / np.where(lengths > 0, lengths, 1.0)
    return np.ascontiguousarray(scaled)
