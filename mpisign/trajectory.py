"""The trajectory file (HDF5): its schema and its reader; the writer is in `mpisign.writing`.

Each repeat's datasets are laid out in full when it starts and filled in blocks; `records` counts those that
are valid, and what is not reached yet is NaN or -1. A running repeat has a group `state`, from which it can go on.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from mpisign.arrays import Floats
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


def sha256(x: Floats) -> str:
    """Of a point's bytes: float64, in the machine's order."""
    return hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest()


class Repeat:
    """One repeat, read: its number, attributes, and columns up to the last valid record."""

    def __init__(self, group: h5py.Group, iterates: bool):
        self.number = int(str(group.name).rpartition("/")[2])
        self.status = str(group.attrs["status"])
        self.sha256 = str(group.attrs.get("sha256", ""))
        self.diverged_at = group.attrs.get("diverged_at")
        self.workers_from = group.attrs.get("workers_from")
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
                self.merged: list[dict[str, str]] = json.loads(file.attrs.get("merged", "[]"))
                self.resumed: list[dict[str, str]] = json.loads(file.attrs.get("resumed", "[]"))
                self.repeats = range(*(int(bound) for bound in file.attrs["repeats"]))
                self.runs = [RunRecord(label, group, iterates) for label, group in file.get("runs", {}).items()]
        except BadInput:
            raise
        except (OSError, KeyError, ValueError) as error:
            raise BadInput(str(path), f"cannot read this trajectory file: {error}") from None

    def __iter__(self) -> Iterator[RunRecord]:
        return iter(self.runs)
