"""Write a trajectory file: OUT.part is worked on, OUT is replaced whole, by a rename.

So OUT is at every moment a file that was closed well, whoever is killed and when, and readers need no lock. A commit
copies OUT.part, which is why it comes at most every two seconds, and more seldom where it takes long.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from mpisign.arrays import Indices
from mpisign.storage.checkpoint import Checkpoint, End, add_column, read_state, take_over, write_state
from mpisign.storage.checksum import seal, unseal
from mpisign.storage.disk_file import DiskFile
from mpisign.storage.output_file import naming, part_of, replace_durably
from mpisign.storage.repeat_datasets import RepeatDatasets, create_datasets, name_axes
from mpisign.storage.trajectory import COLUMNS, SCHEMA, columns_of, columns_sha256, sha256

_SECONDS = 2.0
"""Seconds between two commits, at least: what a killed run can lose."""
_SHARE = 0.02
"""Share of the time that saving and committing may take; they come more seldom where they would take more."""
_MOST_TAKEN = 2**25
"""Bytes of records that may wait to be written."""


class RepeatWriter:
    """One repeat's group, while it runs: datasets of full size from the start, of which `records` are valid."""

    def __init__(self, group: h5py.Group, file: "TrajectoryWriter"):
        self._group, self._file, self._datasets = group, file, RepeatDatasets(group)
        self._blocks: list[dict[str, np.ndarray]] = []
        self._taken = 0

    def append(self, block: dict[str, np.ndarray]) -> None:
        """Take a block of records; write it with the others since the last writing, when they are many."""
        self._blocks.append(block)
        self._taken += sum(values.nbytes for values in block.values())
        if self._taken > _MOST_TAKEN:
            self._write()

    def _write(self) -> None:
        """Write what was taken; a call of HDF5 takes as long as it does for few numbers or for many."""
        start = int(self._group.attrs["records"])
        stop = start + sum(len(block["k"]) for block in self._blocks)
        for name in self._blocks[0] if self._blocks else ():
            if name not in self._group:
                add_column(self._group, name)
            self._datasets.write(name, start, np.concatenate([block[name] for block in self._blocks]))
        self._blocks.clear()
        self._taken = 0
        self._group.attrs["records"] = stop  # last: readers take no more than these for valid
        self._file.check()

    def save(self, kept: Checkpoint) -> None:
        """Replace the state from which the repeat can go on, and commit the file."""
        began = time.monotonic()
        self.keep(kept)
        self._file.commit(began)

    def keep(self, kept: Checkpoint) -> None:
        """Replace the state from which the repeat can go on, for the next commit."""
        self._write()
        write_state(self._group, kept)

    def shrunk(self, k: int, workers: int) -> None:
        """Note that so many workers are left from iteration k on: a row (k, M) of the attribute `workers_from`."""
        if "state" in self._group:
            del self._group["state"]  # of more workers, and it has been taken up
        earlier = self._group.attrs.get("workers_from", np.zeros((0, 2), dtype=np.int64))
        if not len(earlier) or earlier[-1, 1] != workers:
            self._group.attrs["workers_from"] = np.vstack([earlier, [[k, workers]]]).astype(np.int64)

    def finish(self, end: End) -> None:
        """Mark the repeat as complete, or diverged, with the sha256 of its last x and what was compiled."""
        self._write()
        if end.ended:
            self._group = self._file.cut(self._group)
            self._datasets = RepeatDatasets(self._group)
            self._group.attrs["ended"] = end.ended
        attrs = self._group.attrs
        attrs["sha256"] = sha256(end.x)
        records = int(attrs["records"])
        attrs["columns_sha256"] = columns_sha256({name: self._datasets.read(name, records) for name in COLUMNS})
        attrs["compiled"] = end.compiled
        if end.diverged_at is not None:
            attrs["diverged_at"] = end.diverged_at
        attrs["status"] = "complete" if end.diverged_at is None else "diverged"
        if end.last is not None and self._file.keeps_states:
            write_state(self._group, end.last)
        elif "state" in self._group:
            del self._group["state"]
        if end.last is not None and not self._file.keeps_states:
            end.last.whole()  # other ranks send their parts of it
        if self._file.commit_due():
            self._file.commit()


class TrajectoryWriter:
    """The file at `output` and the one that is worked on, on rank 0; it takes up `output` where `resume` says so.

    The caller holds the lock of `output` (`mpisign.storage.output_file.lock_output`).

    Attributes:
        longest_save: seconds that the longest commit has taken, the state before it included.
        keeps_states: whether a complete repeat keeps its state, so that another job can go on with it.
    """

    keeps_states = True

    def __init__(self, output: Path, attributes: Mapping[str, Any], resume: bool = False):
        self._output, self._part, self._cost, self._committed = output, part_of(output), 0.0, 0.0
        self.longest_save = 0.0
        if resume:
            with naming(self._part, "copy"):
                shutil.copyfile(output, self._part)
            unseal(self._part)
        self._disk = DiskFile(self._part, "r+" if resume else "w+")
        self._file = h5py.File(self._disk, "r+" if resume else "w")
        self.check: Callable[[], None] = self._disk.check
        if resume:
            self._resumed(attributes)
        else:
            self._begin(attributes)

    def _begin(self, attributes: Mapping[str, Any]) -> None:
        """Write the file's attributes, and an empty group for the runs."""
        self._file.create_group("runs", track_order=True)  # in the order of the job file
        self._file.attrs.update({"schema": SCHEMA} | dict(attributes))

    def _resumed(self, attributes: Mapping[str, Any]) -> None:
        """Add where the rest comes from, beside where the file does; the experiment may have grown."""
        earlier = json.loads(self._file.attrs.get("resumed", "[]"))
        self._file.attrs["resumed"] = json.dumps([*earlier, json.loads(attributes["provenance"])], indent=1)
        self._file.attrs.update({name: attributes[name] for name in ("experiment", "overrides", "repeats")})

    def run(self, label: str, attributes: Mapping[str, Any]) -> None:
        """Create the group of a run, if it is not there, with its settings and constants."""
        if f"runs/{label}" not in self._file:
            # With an order, a group has room for attributes of any size, such as a large matrix.
            self._file.create_group(f"runs/{label}", track_order=True).create_group("repeats")
        group = self._file[f"runs/{label}"]
        group.attrs.update(attributes)
        if "f_star" in attributes:  # for readers without attributes, such as Octave's
            group.require_dataset("f_star", (), np.float64)[()] = attributes["f_star"]

    def lengthen(self, label: str, ks: Indices) -> None:
        """Lay the repeats of a run out for these k, where they are not: those that can go on are running again."""
        for group in list(self._file[f"runs/{label}/repeats"].values()):
            if "state" in group and not np.array_equal(group["k"], ks):
                self._lay_out(group, ks, int(group["state"].attrs["records"]))

    def cut(self, group: h5py.Group) -> h5py.Group:
        """Replace a repeat's group by one with the records that it has, and return it."""
        records = int(group.attrs["records"])
        return self._lay_out(group, group["k"][:records], records)

    def _lay_out(self, group: h5py.Group, ks: Indices, records: int) -> h5py.Group:
        """Replace a repeat's group by one for these k, which runs, with its first `records` records and its state."""
        iterates, name = "x" in group, group.name
        fresh = self._file.create_group(f"{name}.new")
        create_datasets(fresh, ks, group["x"].shape[1] if iterates else 0, iterates)
        take_over(fresh, group, records)
        del self._file[name]
        self._file.move(fresh.name, name)
        return self._file[name]

    def finished(self, label: str, number: int) -> bool:
        """Return whether that repeat is there and has ended."""
        group = self._file.get(_path(label, number))
        return group is not None and group.attrs["status"] != "running"

    def diverged(self, label: str, repeats: range) -> list[int]:
        """Return at which k those of these repeats diverged that did; all are there."""
        attributes = (self._file[_path(label, number)].attrs for number in repeats)
        return [int(attrs["diverged_at"]) for attrs in attributes if "diverged_at" in attrs]

    def kept(self, label: str, number: int) -> Checkpoint | None:
        """Return the state in which that repeat was saved, or None."""
        state = self._file.get(f"{_path(label, number)}/state")
        if state is None:
            return None
        return read_state(state)

    def repeat(self, label: str, number: int, ks: Indices, dimension: int, iterates: bool) -> RepeatWriter:
        """Return the group of a repeat: a new one, or that of its state, whose later records are forgotten."""
        path = _path(label, number)
        if f"{path}/state" in self._file:
            self._file[path].attrs["records"] = self._file[f"{path}/state"].attrs["records"]
        else:
            if path in self._file:
                del self._file[path]
            create_datasets(self._file.create_group(path), ks, dimension, iterates)
        return RepeatWriter(self._file[path], self)

    def copy(self, label: str, number: int, source: Path, virtual: bool) -> None:
        """Copy a finished repeat of another file, in full or as a view of that file."""
        path = _path(label, number)
        with h5py.File(source, "r") as file:
            theirs, group = file[path], self._file.create_group(path)
            if virtual:
                _view(group, theirs, os.path.relpath(source.resolve(), self._output.parent.resolve()))
            else:
                iterates = "x" in theirs
                create_datasets(group, theirs["k"][()], theirs["x"].shape[1] if iterates else 0, iterates)
                copies = RepeatDatasets(group)
                for name in columns_of(theirs):
                    if name not in group:
                        add_column(group, name)
                    copies.write(name, 0, theirs[name][()])
                if "state" in theirs:  # a view has none: it cannot go on
                    write_state(group, read_state(theirs["state"]))
            group.attrs.update(theirs.attrs)

    def commit_due(self) -> bool:
        """Return whether the next commit is due."""
        return time.monotonic() - self._committed > max(_SECONDS, self._cost / _SHARE)

    def commit(self, began: float | None = None) -> None:
        """Replace `output` by what is written so far; began: when, on the monotonic clock, the work for it began."""
        began = began or time.monotonic()
        self._file.flush()  # HDF5 keeps a part in its caches until then
        self.check()  # what could not be written must not get the name OUT
        copy = self._output.with_name(f"{self._output.name}.next")
        try:
            with naming(copy, "copy"):
                shutil.copyfile(self._part, copy)
            seal(copy)
            replace_durably(copy, self._output)
        except OSError:
            copy.unlink(missing_ok=True)
            raise
        self._committed = time.monotonic()
        self._cost = self._committed - began
        self.longest_save = max(self.longest_save, self._cost)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the whole file in its place. After an error, or a stop, the last commit is left there."""
        self._file.close()
        self._disk.close()
        if error is None:
            self.check()  # after closing, which writes too
            seal(self._part)
            replace_durably(self._part, self._output)


def _path(label: str, number: int) -> str:
    """Return where the group of a repeat is."""
    return f"runs/{label}/repeats/{number:04d}"


def _view(group: h5py.Group, theirs: h5py.Group, source: str) -> None:
    """Create the datasets of `theirs` as views into the file `source`, whose name is seen from this one's folder."""
    for name in (*columns_of(theirs), "coordinate") if "x" in theirs else columns_of(theirs):
        dataset = theirs[name]
        layout = h5py.VirtualLayout(dataset.shape, dataset.dtype)
        layout[...] = h5py.VirtualSource(source, dataset.name, dataset.shape)
        group.create_virtual_dataset(name, layout, fillvalue=dataset.fillvalue)
        group[name].attrs.update(
            {text: dataset.attrs[text] for text in ("units", "description") if text in dataset.attrs}
        )
    name_axes(group)
