"""The trajectory file (HDF5): its schema and its reader; the writer is in `mpisign.storage.writer`.

Each repeat's datasets are laid out in full when it starts and filled in blocks; `records` counts those that are valid,
the rest is NaN or -1. From the group `state` a repeat goes on, or is made longer.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from mpisign.arrays import Floats
from mpisign.config.validation import InputError, shown
from mpisign.storage.hdf5 import Attributes, Source, reading, reading_buffer, typed, within

SCHEMA = "mpisign-trajectory/1"

COLUMNS: dict[str, tuple[type, str, str]] = {
    "k": (np.int64, "1", "iterations"),
    "value": (np.float64, "1", "f(x_k)"),
    "gradient_l1": (np.float64, "1", "l1 norm of the exact gradient at x_k"),
    "scale": (np.float64, "1", "M_k, mean over the workers of the number each sent; NaN where no step was made"),
    "step": (np.float64, "1", "alpha_k; NaN where no step was made"),
    "agreement": (np.float64, "1", "share of coordinates where the reply has the sign of the exact gradient"),
    "ties": (np.int64, "1", "coordinates where the signs that were voted on add up to 0; -1 where no step was made"),
    "seconds": (np.float64, "s", "time on rank 0 without evaluation and logging"),
    "bits_up": (np.int64, "bit", "sent by all workers together for the steps up to x_k"),
    "bits_down": (np.int64, "bit", "sent to all workers together for the steps up to x_k"),
}
"""A repeat's columns: dtype, unit ("1": a number without one) and description."""

PHASES = {
    "gradient": "the stochastic gradients, and what comes before them in an iteration",
    "encode": "encoding the messages, and the workers' memory",
    "exchange": "the exchange, the vote, and waiting for the others",
    "step": "the step, and keeping records",
    "evaluation": "evaluating f and its gradient at records",
    "writing": "writing records and states",
}
"""The parts of a run that `log.clocks` times; the first four add up to `seconds`, which leaves out the others."""

_WHOSE = {"clock": "on rank 0", "slowest": "the most of a rank with workers"}
CLOCKS: dict[str, tuple[type, str, str]] = {
    f"{of}_{name}": (np.float64, "s", f"{part}: {_WHOSE[of]}") for of in _WHOSE for name, part in PHASES.items()
}
"""The columns that a repeat has, too, with `log.clocks`."""

STATUSES = ("running", "complete", "diverged")
"""What a repeat's status can be."""

_ATTRIBUTES = {"method": str, "workers": int, "iterations": int, "f_star": float, "f_star_error": float}
"""The attributes without which nobody can read a run, each with its type."""


def columns_of(group: h5py.Group) -> list[str]:
    """Return the names of a repeat's columns, and `x`."""
    return [*COLUMNS, *(name for name in (*CLOCKS, "x") if name in group)]


def sha256(x: Floats) -> str:
    """Return the sha256 of a point's bytes: float64, in the machine's order."""
    return hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest()


def columns_sha256(columns: Mapping[str, np.ndarray]) -> str:
    """Return the sha256 of columns, whatever their order: of names, dtypes, shapes and bytes.

    A finished repeat has that of the columns in COLUMNS, as far as they are filled, as its attribute `columns_sha256`;
    who reads the file compares.
    """
    digest = hashlib.sha256()
    for name, column in sorted(columns.items()):
        own = hashlib.sha256(np.ascontiguousarray(column).data).hexdigest()
        digest.update(f"{name} {column.dtype} {column.shape} {own}\n".encode())
    return digest.hexdigest()


def _json(attributes: Attributes, name: str, default: str | None = None) -> Any:
    """Return what an attribute holds as JSON; raise ValueError if it is none."""
    text = typed(attributes, name, str, default)
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        raise ValueError(f"expected the attribute {name} to be JSON, found {shown(text)}") from None


def _texts(attributes: Attributes, name: str, kind: type) -> Any:
    """Return a list or table of texts, kept as JSON; raise ValueError if it is none."""
    found = _json(attributes, name)
    texts = found.values() if isinstance(found, dict) else found
    if not isinstance(found, kind) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"expected the attribute {name} to hold texts")
    return found


def _origins(attributes: Attributes, name: str) -> list[dict[str, str]]:
    """Return further provenances, kept as JSON; none in a file of one job."""
    found = _json(attributes, name, "[]")
    origins = found if isinstance(found, list) and all(isinstance(origin, dict) for origin in found) else None
    if origins is None or not all(isinstance(text, str) for origin in origins for text in origin.values()):
        raise ValueError(f"expected the attribute {name} to hold a list of provenances")
    return origins


def _number(name: str) -> int:
    """Return the number of a repeat from its group's name; raise ValueError if it is none."""
    if not (name.isascii() and name.isdecimal() and len(name) < 18):
        raise ValueError(f"expected the number of a repeat, found {shown(name)}")
    return int(name)


def _workers_from(attributes: Attributes) -> list[list[int]]:
    """Return rows (k, M): how many workers were left from which k on; none where none was lost."""
    found = np.asarray(attributes.get("workers_from", np.zeros((0, 2), dtype=np.int64)))
    if found.dtype.kind not in "iu" or found.ndim != 2 or found.shape[1] != 2:
        raise ValueError("expected the attribute workers_from to be pairs of whole numbers, k and the workers left")
    rows: list[list[int]] = found.tolist()
    return rows


def _range(attributes: Attributes, runs: "list[RunRecord]") -> range:
    """Return the repeats that were asked for; in a file that does not say it, those that there are."""
    found = [repeat.number for run in runs for repeat in run.repeats]
    bounds = np.asarray(attributes.get("repeats", (min(found, default=0), max(found, default=-1) + 1)))
    if bounds.shape != (2,) or bounds.dtype.kind not in "iu" or not 0 <= bounds[0] <= bounds[1]:
        raise ValueError("expected the attribute repeats to be two numbers, where they begin and end")
    return range(int(bounds[0]), int(bounds[1]))


def _column(source: Source, group: h5py.Group, name: str, records: int) -> np.ndarray:
    """Return the first `records` of a column; raise ValueError if its dtype or shape is not that of the schema."""
    dataset = source.dataset(group, name)
    dtype, axes = (np.float64, 2) if name == "x" else ((COLUMNS | CLOCKS)[name][0], 1)
    if (dataset.dtype, dataset.ndim, dataset.shape[:1]) != (dtype, axes, group["k"].shape[:1]):
        raise ValueError(f"expected {name} to be {np.dtype(dtype)}, as long as k")
    return source.read(dataset, records)


class RepeatRecord:
    """One repeat, as read from a file.

    Attributes:
        number: its number.
        status: one of STATUSES.
        sha256: of its last x; "" while it runs.
        diverged_at: the k at which x_k or a gradient there was no longer finite, or None.
        compiled: how many iterations ran in compiled code since the repeat was begun or resumed.
        ended: the rule of `stop` by which it has ended before K, or "".
        has_state: whether it can go on.
        workers_from: rows [k, M], how many workers were left from which k on, where some were lost.
        columns: by the names in COLUMNS, and CLOCKS, each of shape (records,), up to the last valid record; "x", of
            shape (records, d), where iterates are kept and asked for.

    Raises:
        ValueError: the group is not what a run writes.
    """

    def __init__(self, number: int, source: Source, group: h5py.Group, iterates: bool):
        self.number = number
        attributes = source.attributes(group)
        self.status = typed(attributes, "status", str)
        self.sha256 = typed(attributes, "sha256", str, "")
        self.diverged_at = typed(attributes, "diverged_at", int) if "diverged_at" in attributes else None
        self.compiled = typed(attributes, "compiled", int) if "compiled" in attributes else 0
        self.ended, self.has_state = typed(attributes, "ended", str, ""), "state" in group
        self.workers_from = _workers_from(attributes)
        if self.status not in STATUSES:
            expected = f"{', '.join(STATUSES[:-1])} or {STATUSES[-1]}"
            raise ValueError(f"expected the status {expected}, found {shown(self.status)}")
        records = typed(attributes, "records", int)
        names = [name for name in columns_of(group) if iterates or name != "x"]
        self.columns = {name: _column(source, group, name, records) for name in names}
        self._check_records(source.dataset(group, "k").shape[0])
        self._check_columns(attributes.get("columns_sha256"))

    def _check_records(self, planned: int) -> None:
        """Raise ValueError if k does not increase from 0, or a complete repeat has not all `planned` records."""
        k = self.columns["k"]
        if len(k) and (k[0] != 0 or (np.diff(k) <= 0).any()):
            raise ValueError("expected k to increase from 0")
        if self.status == "complete" and not 0 < len(k) == planned:
            raise ValueError(f"expected {planned} records of a complete repeat, found {len(k)}")

    def _check_columns(self, expected: str | None) -> None:
        """Raise ValueError if the columns are not what was hashed when the repeat was finished."""
        if expected is not None:
            columns = {name: column for name, column in self.columns.items() if name in COLUMNS}
            if columns_sha256(columns) != expected:
                raise ValueError("the content was changed after it was written: its columns_sha256 does not fit")


class RunRecord:
    """One run, as read from a file.

    Attributes:
        label: its name.
        attributes: its settings, flat, with dots, such as "step.alpha"; f_star and f_star_error; the constants, such as
            L, each with how it is known as L_known.
        precision: what x, gradients and messages consisted of, "float64" or "float32".
        repeats: those that are there, by their numbers.

    Raises:
        ValueError: the group is no run.
    """

    def __init__(self, label: str, source: Source, group: h5py.Group, iterates: bool):
        if not label.isprintable():
            raise ValueError("expected a printable label")
        self.label, self.attributes = label, source.attributes(group)
        self.precision = typed(self.attributes, "precision", str, "float64")  # old files do not say it
        for name, kind in _ATTRIBUTES.items():
            typed(self.attributes, name, kind)
        for name in self.attributes:
            if f"{name}_known" in self.attributes:
                typed(self.attributes, name, float)
                typed(self.attributes, f"{name}_known", str)
        repeats = source.group(group, "repeats")
        self.repeats = []
        for number, name in sorted((_number(name), name) for name in repeats):
            with within(f"repeat {name}"):
                self.repeats.append(RepeatRecord(number, source, source.group(repeats, name), iterates))

    def gap(self, repeat: RepeatRecord) -> Floats:
        """Return f(x_k) - f*, float64, shape (records,)."""
        gap: Floats = repeat.columns["value"] - self.attributes["f_star"]
        return gap

    def finished(self) -> list[RepeatRecord]:
        """Return the repeats that reached their last iteration, or a record at which a rule of `stop` holds."""
        return [repeat for repeat in self.repeats if repeat.status == "complete"]

    def to_show(self) -> list[RepeatRecord]:
        """Return the complete repeats; where there is none, those that are running and have a record."""
        running = (each for each in self.repeats if each.status == "running" and len(each.columns["k"]))
        return self.finished() or list(running)


class Trajectory:
    """A trajectory file, read whole, whose runs it iterates over; x_k, where they are kept, only when asked for.

    Attributes:
        path: where it is.
        name: the experiment's name.
        experiment: the job file's text.
        overrides: what --set changed in it.
        provenance: where the file comes from, by name.
        resumed: the provenance of each job that went on with it.
        merged: the provenance of each slice that it was merged from.
        runs: in the order of the job file.
        repeats: the numbers that were asked for.

    Raises:
        InputError: the file cannot be opened, is something else, or was damaged: one line that names the file and,
            where it is known, the run and the repeat.
    """

    def __init__(self, path: str | Path, iterates: bool = False):
        self.path = Path(path)
        with reading(self.path, "a trajectory file made by mpisign run") as source:
            self._read(source, iterates)

    @classmethod
    def of_buffer(cls, buffer: BytesIO, name: str) -> Self:
        """Return the trajectory that a buffer in memory holds, with its iterates; name: what stands for its path."""
        made = cls.__new__(cls)
        made.path = Path(name)
        with reading_buffer(buffer, made.path) as source:
            made._read(source, iterates=True)
        return made

    def _read(self, source: Source, iterates: bool) -> None:
        """Read the attributes and the runs from an open file."""
        self._check_schema(source.root.attrs.get("schema"))
        attributes = source.attributes(source.root)
        self.experiment: str = typed(attributes, "experiment", str)
        self.name: str = typed(attributes, "name", str, self.path.stem)
        self.overrides: list[str] = _texts(attributes, "overrides", list)
        self.provenance: dict[str, str] = _texts(attributes, "provenance", dict)
        self.resumed, self.merged = _origins(attributes, "resumed"), _origins(attributes, "merged")
        runs = source.group(source.root, "runs")
        self.runs = []
        for label in runs:
            with within(f"run {label}"):
                self.runs.append(RunRecord(label, source, source.group(runs, label), iterates))
        self.repeats = _range(attributes, self.runs)

    def _check_schema(self, found: object) -> None:
        """Raise InputError if the file is not of our schema."""
        if found != SCHEMA:
            hint = "; for a data file: mpisign data info" if str(found).startswith("mpisign-data/") else ""
            what = f"expected a trajectory file of schema {SCHEMA}, found {'none' if found is None else shown(found)}"
            raise InputError(str(self.path), f"{what}{hint}")

    def __iter__(self) -> Iterator[RunRecord]:
        return iter(self.runs)
