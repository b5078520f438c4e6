"""The state that a trajectory file keeps of a repeat: all that its next iteration needs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import h5py
import numpy as np

from mpisign.arrays import Floats, Signs
from mpisign.storage.trajectory import CLOCKS, columns_of

_AT_THE_END = ("sha256", "columns_sha256", "compiled")
"""Attributes that a repeat has once it has ended."""
_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable"
"""The name by which netCDF, and xarray, knows an axis without numbers."""
_WAITING = "pending_k"
"""The k of records that are to be evaluated: xarray wants a name of its own for an axis of its own length."""
_COPIED = 2**25
"""Bytes that are copied at a time."""

_TOGETHER = 2**22
"""Bytes of short rows that are written together: a call of HDF5 takes as long for one as for many."""


class Counters(NamedTuple):
    """What a trajectory counts.

    Attributes:
        records: the records that are written.
        bits_up: bits of the messages of all workers together.
        bits_down: bits of the replies to all workers together.
        seconds: on the recorder's clock.
    """

    records: int = 0
    bits_up: int = 0
    bits_down: int = 0
    seconds: float = 0.0


class Memories(NamedTuple):
    """What a method remembers of each worker, row by row, so that nobody needs room for all of them.

    Attributes:
        shape: (M, size of one).
        rows: float64, one for each worker, in their order; they are gone through once, and a row holds until the next.
    """

    shape: tuple[int, int]
    rows: Iterable[Floats]

    def write(self, dataset: Any) -> None:
        """Write the rows into a dataset of this shape, as they come."""
        if isinstance(self.rows, np.ndarray):
            dataset[...] = self.rows
            return
        count = max(1, _TOGETHER // max(1, 8 * self.shape[1]))
        some = np.empty((min(count, self.shape[0]), self.shape[1]))
        for place, row in enumerate(self.rows):
            some[place % count] = row
            if place % count == count - 1 or place == self.shape[0] - 1:
                first = place - place % count
                dataset[first : place + 1] = some[: place + 1 - first]

    def whole(self) -> "Memories":
        """Return the same with all rows in this process, which can be sent to another one."""
        rows = np.empty(self.shape)
        for place, row in enumerate(self.rows):
            rows[place] = row
        return Memories(self.shape, rows)


class Pending(NamedTuple):
    """Records beyond those that are written: f has not been evaluated at them yet.

    Attributes:
        points: their x_k, float64, shape (p, d).
        signs: what the server answered there, int8, shape (p, d).
        columns: what else is known of them, each of shape (p,).
    """

    points: Floats
    signs: Signs
    columns: Mapping[str, np.ndarray]


class Checkpoint(NamedTuple):
    """A state as a file keeps it.

    Attributes:
        k: the iteration that comes next.
        counters: the counters before it.
        workers: the numbers of the M workers.
        x: float64, shape (d,).
        memory: what the method remembers of each of `workers`.
        shared: what it remembers besides.
        clocks: the seconds of each phase, on rank 0 and of the slowest, with `log.clocks`; else none.
        pending: the records after `counters.records` that are still to be evaluated, or None.
    """

    k: int
    counters: Counters
    workers: Sequence[int]
    x: Floats
    memory: Memories
    shared: Floats
    clocks: Floats = np.zeros(0)
    pending: Pending | None = None

    def whole(self) -> "Checkpoint":
        """Return the same with all of it in this process."""
        return self._replace(memory=self.memory.whole())


class End(NamedTuple):
    """How a repeat has ended.

    Attributes:
        x: the last one.
        diverged_at: the k at which it diverged, or None.
        compiled: how many iterations ran in compiled code.
        last: the state from which a longer run can go on, where it is kept.
        ended: the rule of `stop` that holds there, where it has ended before K.
    """

    x: Floats
    diverged_at: int | None = None
    compiled: int = 0
    last: Checkpoint | None = None
    ended: str = ""


def write_state(group: h5py.Group, kept: Checkpoint) -> None:
    """Replace the state from which a repeat can go on; an array of no numbers, as most methods have, is left out."""
    state = group.require_group("state")
    state.attrs.update({"k": kept.k} | kept.counters._asdict())
    arrays: dict[str, np.ndarray | Memories] = {
        "workers": np.asarray(kept.workers),
        "x": kept.x,
        "memory": kept.memory,
        "shared": kept.shared,
    }
    for name, values in arrays.items():  # the file's order
        if 0 not in values.shape:
            dataset = state[name] if name in state else _add_array(state, name, values)
            if isinstance(values, Memories):
                values.write(dataset)
            else:
                dataset[...] = values
    if len(kept.clocks):
        state.attrs["clocks"] = kept.clocks
    _write_pending(state, kept.pending)


def _write_pending(state: h5py.Group, pending: Pending | None) -> None:
    """Replace the records that are to be evaluated, by none where there are none."""
    if "pending" in state:
        for name in ("points", "signs"):  # a scale that a deleted dataset has been attached to could not be read
            state["pending"][name].dims[1].detach_scale(state["x"])
        del state["pending"]
    if pending is None:
        return
    group = state.create_group("pending")
    columns = dict(pending.columns)
    group[_WAITING] = columns.pop("k")
    scale = group[_WAITING]
    scale.make_scale(_WAITING)
    for name, values in columns.items():
        group[name] = values
        group[name].dims[0].attach_scale(scale)
    for name, values in (("points", pending.points), ("signs", pending.signs)):
        group[name] = values
        for axis, its_scale in enumerate((scale, state["x"])):
            group[name].dims[axis].attach_scale(its_scale)


def _read_pending(state: h5py.Group) -> Pending | None:
    """Return the records that are to be evaluated, or None."""
    if "pending" not in state:
        return None
    columns = {name: dataset[()] for name, dataset in state["pending"].items()}
    columns["k"] = columns.pop(_WAITING)
    return Pending(columns.pop("points"), columns.pop("signs"), columns)


def _add_array(state: h5py.Group, name: str, values: "np.ndarray | Memories") -> h5py.Dataset:
    """Create an array of a state with the scales of its axes, by which xarray reads the whole file."""
    array = state.create_dataset(name, values.shape, np.float64 if isinstance(values, Memories) else values.dtype)
    if name == "memory":
        state.create_dataset("entry", shape=values.shape[1:], dtype=np.float32).make_scale(_NO_VARIABLE)
        for axis, scale in enumerate(("workers", "entry")):
            array.dims[axis].attach_scale(state[scale])
    else:
        array.make_scale(name)
    return array


def read_state(state: h5py.Group) -> Checkpoint:
    """Return the state from which a repeat can go on; the memories are read when they are gone through."""
    counters = Counters(*(kind(state.attrs[name]) for name, kind in Counters.__annotations__.items()))
    workers, x = state["workers"][()], state["x"][()]
    rows = state["memory"] if "memory" in state else np.zeros((len(workers), 0))
    shared = state["shared"][()] if "shared" in state else np.zeros(0)
    clocks = state.attrs.get("clocks", np.zeros(0))
    memory, pending = Memories(rows.shape, rows), _read_pending(state)
    return Checkpoint(int(state.attrs["k"]), counters, workers, x, memory, shared, clocks, pending)


def take_over(fresh: h5py.Group, group: h5py.Group, records: int) -> None:
    """Move a repeat into a group with datasets of another length: it is running, with so many records and its state.

    Args:
        fresh: the new group, whose first k are those of the old one.
        group: the old one.
        records: how many records are copied.
    """
    for name in columns_of(group):
        if name in CLOCKS:
            add_column(fresh, name)
        for part in _parts(group[name], records):
            fresh[name][part] = group[name][part]
    fresh.attrs.update({name: value for name, value in group.attrs.items() if name not in _AT_THE_END})
    fresh.attrs.update({"status": "running", "records": records})
    if "state" in group:
        group.file.move(f"{group.name}/state", f"{fresh.name}/state")


def add_column(group: h5py.Group, name: str) -> None:
    """Create the dataset of a column that a repeat has with `log.clocks`."""
    dtype, unit, description = CLOCKS[name]
    dataset = group.create_dataset(name, shape=group["k"].shape, dtype=dtype, fillvalue=np.nan)
    dataset.attrs.update({"units": unit, "description": description})
    dataset.dims[0].attach_scale(group["k"])


def _parts(dataset: h5py.Dataset, records: int) -> Iterator[slice]:
    """Yield slices of the first rows of a dataset, none larger than `_COPIED` bytes where a row is not."""
    rows = max(1, _COPIED // max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:]))))
    for start in range(0, records, rows):
        yield slice(start, min(start + rows, records))
