"""Real data sets that need no download: those that scikit-learn carries."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from mpisign.arrays import Floats

_LEVELS = 17
"""Grey levels of a pixel of `digits`: 0 to 16."""


def _table(name: str, header: int) -> Floats:
    """Return scikit-learn's file as numbers.

    To import scikit-learn's loaders takes longer than most runs on these data.
    """
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).parent / "datasets" / "data" / name
    return np.loadtxt(path, delimiter=",", skiprows=header)


def _bundled(
    what: str, name: str, header: int, positive: Callable[[Floats], Floats]
) -> Callable[[], tuple[Floats, Floats]]:
    """Return what reads scikit-learn's file; its docstring is `what`."""

    def load() -> tuple[Floats, Floats]:
        table = _table(name, header)
        return np.ascontiguousarray(table[:, :-1]), np.where(positive(table[:, -1]), 1.0, -1.0)

    load.__doc__ = what
    return load


_digits = _bundled("Even digits (+1) against odd ones (-1).", "digits.csv.gz", 0, lambda target: target % 2 == 0)


def _digits_one_hot() -> "tuple[scipy.sparse.csr_array[Any], Floats]":
    """Even digits (+1) against odd ones (-1): a feature for each of the 17 grey levels of each of the 64 pixels."""
    # Feature 17 p + v is 1/8 where pixel p has the level v, and else 0, so that each row has length 1; as LIBSVM Data
    # has adult (a9a), mushrooms and phishing.
    pixels, labels = _digits()
    n, count = pixels.shape
    indices = (_LEVELS * np.arange(count) + pixels).astype(np.int32).ravel()
    entries = np.full(n * count, 1 / np.sqrt(count)), indices, count * np.arange(n + 1)
    return scipy.sparse.csr_array(entries, shape=(n, _LEVELS * count)), labels


BUNDLED: dict[str, Callable[[], tuple[Any, Floats]]] = {
    "breast-cancer": _bundled(
        "Benign tumours (+1) against malignant ones (-1).", "breast_cancer.csv", 1, lambda target: target == 1
    ),
    "digits": _digits,
    "digits-one-hot": _digits_one_hot,
    "wine": _bundled("Wines of class 0 (+1) against the rest (-1).", "wine_data.csv", 1, lambda target: target == 0),
}
"""name -> features (n, d), an array, or CSR where the name is in SPARSE, and labels (n,)."""
SPARSE = {"digits-one-hot"}
"""The sets that stay sparse unless they are scaled."""
