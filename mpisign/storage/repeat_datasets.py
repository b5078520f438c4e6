"""Create, write and read the datasets of a repeat by calls of HDF5 itself.

h5py's objects take twice as long, which jobs of many short repeats feel.
"""

from functools import cache

import h5py
import numpy as np
from h5py import h5a, h5d, h5ds, h5p, h5s, h5t

from mpisign.arrays import Indices
from mpisign.storage.trajectory import COLUMNS, columns_of

_ITERATES = ("x", np.dtype(np.float64))


class RepeatDatasets:
    """The datasets of one repeat's group, each opened when it is first asked for."""

    def __init__(self, group: h5py.Group):
        self._group = group
        self._opened: dict[str, h5d.DatasetID] = {}

    def write(self, name: str, start: int, values: np.ndarray) -> None:
        """Write records from the number `start` on; values: shape (records, ...)."""
        file, memory = self._rows(name, start, len(values))
        self[name].write(memory, file, np.ascontiguousarray(values, dtype=self[name].dtype))

    def read(self, name: str, count: int) -> np.ndarray:
        """Return the first `count` records, shape (count, ...)."""
        file, memory = self._rows(name, 0, count)
        values = np.empty((count, *self[name].shape[1:]), dtype=self[name].dtype)
        if count:
            self[name].read(memory, file, values)
        return values

    def __getitem__(self, name: str) -> h5d.DatasetID:
        if name not in self._opened:
            self._opened[name] = h5d.open(self._group.id, name.encode())
        return self._opened[name]

    def _rows(self, name: str, start: int, count: int) -> tuple[h5s.SpaceID, h5s.SpaceID]:
        """Return `count` records of the file, and as many in memory, as HDF5 has them."""
        file, rest = self[name].get_space(), self[name].shape[1:]
        file.select_hyperslab((start, *(0 for _ in rest)), (count, *rest))
        return file, h5s.create_simple((count, *rest))


def create_datasets(group: h5py.Group, ks: Indices, dimension: int, iterates: bool) -> None:
    """Create the datasets of a repeat, in full, and write what is true of it before its first record."""
    group.attrs["status"], group.attrs["records"] = "running", 0
    made = {name: _create(group, name, np.dtype(dtype), ks.shape) for name, (dtype, _, _) in COLUMNS.items()}
    for name, (_, unit, description) in COLUMNS.items():
        _describe(made[name], b"units", unit)
        _describe(made[name], b"description", description)
    made["k"].write(h5s.ALL, h5s.ALL, np.ascontiguousarray(ks, dtype=np.int64))
    if iterates:
        name, dtype = _ITERATES
        _create(group, name, dtype, (len(ks), dimension))
        group["coordinate"] = np.arange(dimension)
    name_axes(group)


def name_axes(group: h5py.Group) -> None:
    """Make k, and for the iterates `coordinate`, the scales of the datasets' axes: so xarray reads them."""
    datasets = RepeatDatasets(group)
    h5ds.set_scale(datasets["k"], b"k")
    for name in columns_of(group):
        if name != "k":
            h5ds.attach_scale(datasets[name], datasets["k"], 0)
    if "x" in group:
        h5ds.set_scale(datasets["coordinate"], b"coordinate")
        h5ds.attach_scale(datasets["x"], datasets["coordinate"], 1)


def _create(group: h5py.Group, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> h5d.DatasetID:
    """Create a dataset where NaN or -1 stands for what is not reached yet."""
    space = h5s.create_simple(shape)
    return h5d.create(group.id, name.encode(), h5t.py_create(dtype, logical=True), space, _filled(dtype))


@cache
def _filled(dtype: np.dtype) -> h5p.PropDCID:
    """Return how a dataset of this dtype is created."""
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_fill_value(np.array(-1 if dtype.kind == "i" else np.nan, dtype=dtype))
    properties.set_obj_track_times(False)
    return properties


def _describe(dataset: h5d.DatasetID, name: bytes, text: str) -> None:
    """Give a dataset an attribute with a text."""
    dtype = h5py.string_dtype()
    attribute = h5a.create(dataset, name, h5t.py_create(dtype, logical=True), h5s.create(h5s.SCALAR))
    attribute.write(np.array(text, dtype=dtype))
