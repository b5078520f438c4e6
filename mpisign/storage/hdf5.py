"""Read an HDF5 file as data only: what is there in the file itself, and no more than that.

A file can say anything: numbers that are kept in other files, links that lead out of it, objects to be made of bytes,
arrays beyond any memory. Whatever is none of ours is refused, and no more is read than the file has bytes.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mpisign.config.validation import InputError, shown
from mpisign.storage.checksum import check_seal

Attributes = dict[str, Any]
_DENSEST = 1100
"""How many times smaller compression may make numbers: Deflate's most is 1032."""
_ERRORS = (
    OSError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    RuntimeError,
    ArithmeticError,
    MemoryError,
)


_KINDS: dict[type, tuple[Any, str]] = {
    str: (str, "text"),
    int: (int | np.integer, "a whole number"),
    float: (float | np.floating, "a finite number"),
}


def typed(attributes: Attributes, name: str, kind: type, default: Any = None) -> Any:
    """Return an attribute as a str, an int or a finite float.

    Args:
        attributes: the attributes of a group.
        name: the attribute's name.
        kind: str, int or float.
        default: its value where it is missing; None if it has to be there.

    Raises:
        ValueError: the attribute is missing or of another kind.
    """
    value, (kinds, what) = attributes.get(name, default), _KINDS[kind]
    if value is None:
        raise ValueError(f"the attribute {name} is missing")
    if not isinstance(value, kinds) or (kind is float and not np.isfinite(value)):
        raise ValueError(f"expected the attribute {name} to be {what}, found {shown(value)}")
    return kind(value)


class Source:
    """An HDF5 file that is open for reading.

    Args:
        path: where it is.
        file: the open file.
        sealed: whether it has a seal that was checked.
        size: how many bytes it has.

    Attributes:
        path: where it is.
        root: its root group.
        sealed: whether it has a seal that was checked.
    """

    def __init__(self, path: Path, file: h5py.File, sealed: bool, size: int):
        self.path, self.root, self.sealed, self._left = path, file, sealed, size
        self._others: set[Path] = set()

    def group(self, parent: h5py.Group, name: str) -> h5py.Group:
        """Return the group `name` of a group; raise ValueError or KeyError if there is none."""
        found = _item(parent, name)
        if not isinstance(found, h5py.Group):
            raise ValueError(f"expected {name} to be a group")
        return found

    def dataset(self, parent: h5py.Group, name: str) -> h5py.Dataset:
        """Return the dataset `name` of a group, of numbers that this file holds; raise ValueError or KeyError else."""
        *groups, last = name.split("/")
        for group in groups:
            parent = self.group(parent, group)
        found = _item(parent, last)
        if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "biuf" or found.shape is None:
            raise ValueError(f"expected {name} to be an array of numbers")
        if found.external:
            raise ValueError(f"{name} keeps its numbers in another file")
        return found

    def read(self, dataset: h5py.Dataset, records: int | None = None) -> "np.ndarray[Any, Any]":
        """Return all of a dataset, or its first `records` rows; raise ValueError if the file holds less than that."""
        shape = dataset.shape if records is None else (records, *dataset.shape[1:])
        if shape[:1] > dataset.shape[:1]:
            raise ValueError(f"{dataset.name}: expected {records} records, found {dataset.shape[0]}")
        self._take(dataset, math.prod(shape) * dataset.dtype.itemsize)
        found: np.ndarray[Any, Any] = np.empty(shape, dataset.dtype)
        if found.size:
            dataset.read_direct(found, np.s_[: shape[0]] if shape else None)
        return found

    def check(self, dataset: h5py.Dataset) -> None:
        """Raise ValueError if the file holds less than all of a dataset, which is then read in parts."""
        self._take(dataset, dataset.nbytes)

    def attributes(self, item: h5py.Group) -> Attributes:
        """Return an item's attributes: text, numbers and arrays of them; raise ValueError for anything else."""
        return {name: self._attribute(item, name) for name in item.attrs}

    def _attribute(self, item: h5py.Group, name: str) -> Any:
        """Return one attribute; raise ValueError if it is neither text nor numbers."""
        # Counted before it is read: an attribute may claim any size.
        self._spend(item.attrs.get_id(name).get_storage_size())
        value = item.attrs[name]
        if isinstance(value, str | bool | np.bool_ | np.number):
            return value
        if isinstance(value, np.ndarray) and (value.dtype.kind in "biuf" or _is_text(value)):
            return value
        raise ValueError(f"expected the attribute {name} to be text or numbers")

    def _take(self, dataset: h5py.Dataset, size: int) -> None:
        """Raise ValueError if less is stored of a dataset than `size` bytes, and count them as read.

        No file holds more than its bytes, however often it points to them; compressed ones go by their own size.
        """
        if dataset.is_virtual:
            self._add_sources(dataset)
        elif size > (_DENSEST if dataset.chunks else 1) * dataset.id.get_storage_size():
            raise ValueError(f"{dataset.name} claims to be larger than what is stored of it")
        self._spend(size // (_DENSEST if dataset.chunks else 1))

    def _spend(self, size: int) -> None:
        """Count `size` bytes as read; raise ValueError if that is more than the file has."""
        self._left -= size
        if self._left < 0:
            raise ValueError("it claims to hold more than its bytes can")

    def _add_sources(self, dataset: h5py.Dataset) -> None:
        """Check the files that a merged file is a view of: where one is missing, HDF5 would fill in and say nothing."""
        for name in {source.file_name for source in dataset.virtual_sources()}:
            path = self.path if name == "." else self.path.parent / name
            if not path.is_file():
                raise ValueError(f"the file {name}, which holds a part of it, is missing")
            if path not in self._others and path != self.path:
                check_seal(path)
                self._others.add(path)
                # A view can read as much as its files hold.
                self._left += path.stat().st_size


def is_hdf5(path: Path) -> bool:
    """Return whether the file begins as an HDF5 file does."""
    try:
        return bool(h5py.is_hdf5(path))
    except _ERRORS:
        return False


@contextmanager
def reading(path: Path, what: str, sealed: int | None = None) -> Iterator[Source]:
    """Open an HDF5 file for reading.

    Args:
        path: the file.
        what: what is expected, for messages.
        sealed: the size in bytes up to which its seal is checked; None: whatever its size.

    Raises:
        InputError: anything goes wrong while the file is read, also inside the context; the key is its path.
    """
    try:
        if not path.is_file():
            found = "this is no file" if path.exists() else "no such file"
            raise InputError(str(path), f"{found}; expected {what}")
        # Before HDF5 sees the file: it may hang or crash on a damaged one.
        checked = (sealed is None or path.stat().st_size <= sealed) and check_seal(path)
        if not is_hdf5(path):
            raise InputError(str(path), f"expected {what}, an HDF5 file; this is none, or it was cut off")
        with h5py.File(path, "r") as file:
            yield Source(path, file, checked, path.stat().st_size)
    except InputError:
        raise
    except _ERRORS as error:
        raise InputError(str(path), f"cannot read this file, expected {what}: {_reason(error)}") from None


@contextmanager
def reading_buffer(buffer: BytesIO, name: Path) -> Iterator[Source]:
    """Open an HDF5 file that is in memory; name: what stands for its path."""
    with h5py.File(buffer, "r") as file:
        yield Source(name, file, False, len(buffer.getbuffer()))


@contextmanager
def within(name: str) -> Iterator[None]:
    """Turn whatever goes wrong inside into a ValueError that names this part of the file."""
    try:
        yield
    except _ERRORS as error:
        raise ValueError(f"{name}: {_reason(error)}") from None


def _item(parent: h5py.Group, name: str) -> Any:
    """Return what a group has under this name itself; raise ValueError if it is missing or a link."""
    link = parent.get(name, getlink=True)
    if link is None:
        raise ValueError(f"{name} is missing")
    # Asked before it is followed: it may lead to another file.
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"expected {name} itself, found a link to somewhere else")
    return parent[name]


def _is_text(value: "np.ndarray[Any, Any]") -> bool:
    """Return whether an array holds nothing but strings."""
    return value.dtype == object and all(isinstance(part, str) for part in value.flat)


def _reason(error: BaseException) -> str:
    """Return in a few words what an error says."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error.args[0] if error.args else type(error).__name__)
