"""Data sets: the real ones that scikit-learn carries, and files."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import h5py
import numpy as np
import scipy.sparse

from mpisign.arrays import Floats
from mpisign.data.file import DataFile, is_data_file
from mpisign.data.opening import opened_file
from mpisign.rows import signed
from mpisign.settings import BadInput, closest
from mpisign.sharing import Opened, copied

_VERIFIED_BYTES = 10**9

Scaling: TypeAlias = Literal["raw", "standardised", "unit-rows"]
"""raw: as the data is. standardised: each feature of mean 0 and variance 1. unit-rows: standardised, then each
row of length 1, as epsilon has it."""


def _bundled(loader: str, positive: Callable[[Floats], Floats]) -> Callable[[], tuple[Floats, Floats]]:
    def load() -> tuple[Floats, Floats]:
        import sklearn.datasets

        features, target = getattr(sklearn.datasets, loader)(return_X_y=True)
        return np.ascontiguousarray(features, dtype=np.float64), np.where(positive(target), 1.0, -1.0)

    return load


BUNDLED: dict[str, Callable[[], tuple[Floats, Floats]]] = {
    "breast-cancer": _bundled("load_breast_cancer", lambda target: target == 1),
    "digits": _bundled("load_digits", lambda target: target % 2 == 0),
    "wine": _bundled("load_wine", lambda target: target == 0),
}
"""name -> features (n, d) and labels (n,): malignant against benign, even against odd, class 0 against the rest."""


def opened(name: str, scaling: Scaling | None = None) -> Opened:
    """The rows b_i a_i of a data set (see `mpisign.rows`), to be shared; what `load` says of its arguments holds.

    A data file as it is, scaling "raw", keeps its dtype and stays sparse; everything else becomes dense float64.
    """
    if name not in BUNDLED and is_data_file(Path(name)):
        file = _checked(Path(name))
        if (scaling or "raw") == "raw":
            return opened_file(file)
        if file.layout.sparse:
            raise BadInput("scaling", f'expected "raw" for sparse data, got {scaling!r}: scaled it would be dense')
    return copied(signed(*load(name, scaling)).arrays)


def load(name: str, scaling: Scaling | None = None) -> tuple[Floats, Floats]:
    """Features, float64, shape (n, d), and labels -1 or +1, shape (n,).

    name: a bundled set, a data file made by `mpisign data`, another HDF5 file with the datasets `features` and
    `labels`, or a LIBSVM text file. scaling None: "unit-rows" for a bundled set, "raw" for a file. A data file of up to
    1 GB is checked against its hash; a larger one only by `mpisign data info --verify`. Raises BadInput, naming the key
    or the file.
    """
    if name in BUNDLED:
        features, labels = BUNDLED[name]()
        return _scaled(features, scaling or "unit-rows"), labels
    path = Path(name)
    if not path.is_file():
        raise BadInput("data", f"no file and no bundled data set {name!r}; {closest(name, list(BUNDLED))}")
    features, labels = _read(path)
    if not (np.isfinite(features).all() and np.isfinite(labels).all()):
        raise BadInput("data", f"{name}: expected finite numbers, found a NaN or an infinity")
    signs = _as_signs(labels, name)
    return _scaled(features, scaling or "raw"), signs


def _read(path: Path) -> tuple[Floats, Floats]:
    if is_data_file(path):
        return _read_data_file(path)
    return _read_hdf5(path) if h5py.is_hdf5(path) else _read_libsvm(path)


def _checked(path: Path) -> DataFile:
    file = DataFile(path)
    if path.stat().st_size <= _VERIFIED_BYTES:
        file.verify()
    return file


def _read_data_file(path: Path) -> tuple[Floats, Floats]:
    file = _checked(path)
    features = file.features()
    dense = features.toarray() if isinstance(features, scipy.sparse.csr_array) else features
    return np.ascontiguousarray(dense, dtype=np.float64), file.labels().astype(np.float64)


def _read_hdf5(path: Path) -> tuple[Floats, Floats]:
    try:
        with h5py.File(path, "r") as file:
            features, labels = (np.asarray(file[name][()], dtype=np.float64) for name in ("features", "labels"))
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise BadInput("data", f"{path}: expected the numeric datasets features and labels: {error}") from None
    if features.ndim != 2 or labels.shape != features.shape[:1] or not features.size:
        shapes = f"{features.shape} and {labels.shape}"
        raise BadInput("data", f"{path}: expected features of shape (n, d) and labels of shape (n,), got {shapes}")
    return features, labels


def _read_libsvm(path: Path) -> tuple[Floats, Floats]:
    from sklearn.datasets import load_svmlight_file

    try:
        features, labels = load_svmlight_file(str(path))
        return features.toarray(), labels
    except (OSError, ValueError, OverflowError) as error:
        raise BadInput("data", f"{path}: expected LIBSVM text or HDF5: {error}") from None
    except MemoryError:
        raise BadInput("data", f"{path}: too large to be read as dense text; mpisign data convert first") from None


def _as_signs(labels: Floats, name: str) -> Floats:
    classes = np.unique(labels)
    if len(classes) != 2:
        raise BadInput("data", f"{name}: expected labels of two classes, found {len(classes)}: {classes[:5]}")
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
