"""The trajectory file (HDF5): its schema, its writer and its reader.

Each repeat's datasets are laid out in full when it starts and filled in blocks; `records` counts those that
are valid. A file that was cut off opens to its last flush, and what is not reached yet is NaN or -1.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from mpisign.arrays import Floats, Indices
from mpisign.settings import BadInput

SCHEMA = "mpisign-trajectory/1"

COLUMNS: dict[str, tuple[type, str]] = {
    "k": (np.int64, "iterations"),
    "value": (np.float64, "f(x_k)"),
    "gradient_l1": (np.float64, "l1 norm of the exact gradient at x_k"),
    "scale": (np.float64, "M_k, mean over the workers of the number each sent; NaN where no step was made"),
    "step": (np.float64, "alpha_k; NaN where no step was made"),
    "agreement": (np.float64, "share of coordinates where the reply has the sign of the exact gradient"),
    "ties": (np.int64, "coordinates where the signs that were voted on add up to zero; -1 where no step was made"),
    "seconds": (np.float64, "seconds on rank 0 without evaluation and logging"),
    "bits_up": (np.int64, "bits sent by all workers together for the steps up to x_k"),
    "bits_down": (np.int64, "bits sent to all workers together for the steps up to x_k"),
}
"""A repeat's columns: dtype and unit."""

_FLUSH_SECONDS = 2.0
"""What a killed run can lose, and the evaluation of a block besides."""


class RepeatWriter:
    """One repeat's group, while it runs."""

    def __init__(self, group: h5py.Group, ks: Indices, dimension: int, iterates: bool):
        self._group, self._records, self._flushed = group, 0, time.monotonic()
        self._blocks: list[dict[str, np.ndarray]] = []
        group.attrs["status"], group.attrs["records"] = "running", 0
        for name, (dtype, unit) in COLUMNS.items():
            fill = np.nan if dtype is np.float64 else -1
            group.create_dataset(name, shape=ks.shape, dtype=dtype, fillvalue=fill).attrs["units"] = unit
        _add_scale(group, "k", ks, [name for name in COLUMNS if name != "k"], axis=0)
        if iterates:
            group.create_dataset("x", shape=(len(ks), dimension), dtype=np.float64, fillvalue=np.nan)
            group.create_dataset("coordinate", shape=(dimension,), dtype=np.int64)
            _add_scale(group, "k", ks, ["x"], axis=0)
            _add_scale(group, "coordinate", np.arange(dimension), ["x"], axis=1)

    def append(self, block: dict[str, np.ndarray]) -> None:
        """Take a block of records, and write what was taken if the last writing is some seconds ago."""
        self._blocks.append(block)
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._commit()

    def finish(self, x: Floats, diverged_at: int | None) -> None:
        """Mark the repeat as complete, or as diverged at that k, with the sha256 of its last x."""
        attrs = self._group.attrs
        attrs["sha256"] = hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest()
        if diverged_at is not None:
            attrs["diverged_at"] = diverged_at
        self._commit()
        attrs["status"] = "complete" if diverged_at is None else "diverged"
        self._group.file.flush()

    def _commit(self) -> None:
        start = self._records
        self._records += sum(len(block["k"]) for block in self._blocks)
        for name in self._blocks[0] if self._blocks else ():
            self._group[name][start : self._records] = np.concatenate([block[name] for block in self._blocks])
        self._blocks.clear()
        # Rows first, then their count: a reader of a cut-off file trusts the count.
        self._group.file.flush()
        self._group.attrs["records"] = self._records
        self._group.file.flush()
        self._flushed = time.monotonic()


def _add_scale(group: h5py.Group, scale: str, values: Indices, names: list[str], axis: int) -> None:
    """Make `scale` the coordinates of an axis of the datasets `names`, as xarray reads them."""
    group[scale][:] = values
    group[scale].make_scale(scale)
    for name in names:
        group[name].dims[axis].attach_scale(group[scale])


class TrajectoryWriter:
    """A trajectory file that is being written, by rank 0."""

    def __init__(self, path: Path, experiment: str, overrides: list[str], provenance: Mapping[str, str]):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = h5py.File(path, "w")
        self._file.create_group("runs", track_order=True)  # in the order of the job file
        self._file.attrs.update({"schema": SCHEMA, "experiment": experiment})
        self._file.attrs["overrides"] = json.dumps(overrides)
        self._file.attrs["provenance"] = json.dumps(dict(provenance), indent=1)

    def run(self, label: str, attributes: Mapping[str, Any]) -> None:
        """Create the group of a run with its settings and constants."""
        self._file.create_group(f"runs/{label}/repeats")
        self._file[f"runs/{label}"].attrs.update(attributes)

    def repeat(self, label: str, number: int, ks: Indices, dimension: int, iterates: bool) -> RepeatWriter:
        """Create the group of a repeat."""
        group = self._file.create_group(f"runs/{label}/repeats/{number:04d}")
        return RepeatWriter(group, ks, dimension, iterates)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Flush and close the file, also after an error."""
        self._file.close()


class Repeat:
    """One repeat, read: its number, attributes, and columns up to the last valid record."""

    def __init__(self, group: h5py.Group, iterates: bool):
        self.number = int(str(group.name).rpartition("/")[2])
        self.status = str(group.attrs["status"])
        self.sha256 = str(group.attrs.get("sha256", ""))
        self.diverged_at = group.attrs.get("diverged_at")
        records = int(group.attrs["records"])
        names = [name for name in (*COLUMNS, "x") if name in group and (iterates or name != "x")]
        self.columns: dict[str, np.ndarray] = {name: group[name][:records] for name in names}


class RunRecord:
    """One run, read: its label, its settings and its repeats."""

    def __init__(self, label: str, group: h5py.Group, iterates: bool):
        self.label, self.attributes = label, dict(group.attrs)
        numbers = sorted(group["repeats"], key=int)
        self.repeats = [Repeat(group[f"repeats/{number}"], iterates) for number in numbers]

    def gap(self, repeat: Repeat) -> Floats:
        """f(x_k) - f*, shape (records,)."""
        gap: Floats = repeat.columns["value"] - self.attributes["f_star"]
        return gap

    def finished(self) -> list[Repeat]:
        """The repeats that reached their last iteration."""
        return [repeat for repeat in self.repeats if repeat.status == "complete"]


class Trajectory:
    """A trajectory file, read whole; the iterates x_k, where they are kept, only when asked for.

    Raises BadInput when the file cannot be opened or is something else.
    """

    def __init__(self, path: Path, iterates: bool = False):
        self.path = path
        if not path.is_file():
            raise BadInput(str(path), "no such file; expected a trajectory file made by mpisign run")
        if not h5py.is_hdf5(path):
            raise BadInput(str(path), "expected an HDF5 file made by mpisign run; this is none, or it was cut off")
        try:
            with h5py.File(path, "r") as file:
                if file.attrs.get("schema") != SCHEMA:
                    raise BadInput(str(path), f"expected a trajectory file of schema {SCHEMA}")
                self.experiment = str(file.attrs["experiment"])
                self.overrides: list[str] = json.loads(file.attrs["overrides"])
                self.provenance: dict[str, str] = json.loads(file.attrs["provenance"])
                self.runs = [RunRecord(label, group, iterates) for label, group in file.get("runs", {}).items()]
        except BadInput:
            raise
        except (OSError, KeyError, ValueError) as error:
            raise BadInput(str(path), f"cannot read this trajectory file: {error}") from None

    def __iter__(self) -> Iterator[RunRecord]:
        return iter(self.runs)
