"""Give what was run as arrays over repeats and records, a run's column each, and as data frames and datasets."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np

from mpisign.arrays import Floats
from mpisign.config.validation import InputError, closest, shown
from mpisign.storage.remarks import progress
from mpisign.storage.trajectory import CLOCKS, COLUMNS, RunRecord, Trajectory


class RunResult:
    """One run: its columns as arrays of shape (repeats, records).

    Each column of the file is an attribute: `value`, `gradient_l1`, `scale`, `step`, `agreement`, `ties`, `seconds`,
    `bits_up`, `bits_down`, and `x`, shape (repeats, records, d), where iterates are kept. A repeat that ended early,
    also by a rule of `stop`, or is still running, is filled up with NaN; a column of whole numbers is then of float64.

    Attributes:
        label: the run's name.
        attributes: its settings, flat, with dots, such as "step.alpha"; f_star, f_star_error, and the constants.
        repeats: the numbers of its repeats.
        status: of each repeat: "complete", "diverged" or "running".
        ended: of each repeat: the rule of `stop` by which it has ended before K, such as "gap", or "".
        partial: how far the run is, such as "k = 1200 of 20000" or "2 of 5 repeats"; "" once all repeats have ended.
    """

    def __init__(self, record: RunRecord, planned: range):
        self.label, self.attributes, self._record = record.label, record.attributes, record
        self.ended = [repeat.ended for repeat in record.repeats]
        self.partial = progress(record, planned)
        self.repeats = [repeat.number for repeat in record.repeats]
        self.status = [repeat.status for repeat in record.repeats]

    @property
    def k(self) -> np.ndarray:
        """Return the recorded iterations, int64, shape (records,)."""
        found = [repeat.columns["k"] for repeat in self._record.repeats]
        return max(found, key=len) if found else np.zeros(0, dtype=np.int64)

    @property
    def f_star(self) -> float:
        """Return f*, whose error is `attributes["f_star_error"]` at most."""
        return float(self.attributes["f_star"])

    @property
    def gap(self) -> Floats:
        """Return f(x_k) - f*, float64, shape (repeats, records)."""
        gap: Floats = self._column("value") - self.f_star
        return gap

    def __getattr__(self, name: str) -> np.ndarray:
        if name in COLUMNS or name in CLOCKS or name == "x":
            return self._column(name)
        raise AttributeError(f"a run has no {shown(name)}; it has {', '.join([*COLUMNS, 'gap', 'x'])}")

    def _column(self, name: str) -> np.ndarray:
        """Return a column, shape (repeats, records, ...); raise AttributeError if the file keeps none."""
        columns = [repeat.columns.get(name) for repeat in self._record.repeats]
        if any(column is None for column in columns):
            key = "clocks" if name in CLOCKS else "iterates"
            raise AttributeError(f"{self.label!r} keeps no {name}: log.{key} = true keeps it")
        return _stacked([column for column in columns if column is not None])

    def to_dataframe(self) -> Any:
        """Return a pandas.DataFrame: a row for each record of each repeat, with the gap and the repeat's number."""
        pandas = _imported("pandas", "to_dataframe")
        frames = [
            pandas.DataFrame(
                {"run": self.label, "repeat": repeat.number}
                | {name: column for name, column in repeat.columns.items() if name != "x"}
                | {"gap": self._record.gap(repeat)}
            )
            for repeat in self._record.repeats
        ]
        return pandas.concat(frames, ignore_index=True) if frames else pandas.DataFrame()

    def to_xarray(self) -> Any:
        """Return an xarray.Dataset with the dimensions repeat and k, and coordinate where iterates are kept."""
        xarray = _imported("xarray", "to_xarray")
        repeats = self._record.repeats
        clocked = bool(repeats) and all("clock_step" in repeat.columns for repeat in repeats)
        units = {name: unit for name, (_, unit, _) in (COLUMNS | CLOCKS if clocked else COLUMNS).items() if name != "k"}
        data: dict[str, Any] = {
            name: (("repeat", "k"), self._column(name), {"units": unit}) for name, unit in units.items()
        }
        data["gap"] = (("repeat", "k"), self.gap, {"units": "1"})
        if self._record.repeats and all("x" in repeat.columns for repeat in self._record.repeats):
            data["x"] = (("repeat", "k", "coordinate"), self._column("x"), {"units": "1"})
        return xarray.Dataset(data, {"repeat": self.repeats, "k": self.k}, {"label": self.label})

    def __repr__(self) -> str:
        method, workers = self.attributes["method"], self.attributes["workers"]
        what = f"<run {self.label!r}: {method}, M = {workers}, {counted(len(self.repeats), 'repeat')}"
        ended = [each for each in self._record.finished() if len(each.columns["k"])]
        if not ended:
            return f"{what}, {f'partial: {self.partial}' if self.partial else 'none complete'}>"
        last = float(np.median([self._record.gap(repeat)[-1] for repeat in ended]))
        partial = f", partial: {self.partial}" if self.partial else ""
        return f"{what}, {len(self.k)} records up to k = {self.k[-1]}, median last gap {last:.3g}{partial}>"


class Results:
    """The runs of a trajectory by their labels: `results["label"].gap`; iterating gives the runs in their order.

    Attributes:
        trajectory: the trajectory as it was read.
        partial: whether a repeat has not ended: the file of a job that is still running, or was stopped.
    """

    def __init__(self, trajectory: Trajectory):
        self.trajectory = trajectory
        self._runs = {record.label: RunResult(record, trajectory.repeats) for record in trajectory}
        self.partial = any(run.partial for run in self)

    def __getitem__(self, label: str) -> RunResult:
        """Return the run of this label; raise KeyError, which names those there are, where there is none."""
        if label not in self._runs:
            raise KeyError(f"no run called {shown(label)}; {closest(label, self.labels)}")
        return self._runs[label]

    @property
    def labels(self) -> list[str]:
        """Return the labels of the runs, in their order."""
        return list(self._runs)

    def __iter__(self) -> Iterator[RunResult]:
        return iter(self._runs.values())

    def __len__(self) -> int:
        return len(self._runs)

    def __contains__(self, label: object) -> bool:
        return label in self._runs

    def to_dataframe(self) -> Any:
        """Return a pandas.DataFrame of all runs: a row for each record of each repeat."""
        pandas = _imported("pandas", "to_dataframe")
        return pandas.concat([run.to_dataframe() for run in self], ignore_index=True)

    def to_xarray(self) -> Any:
        """Return an xarray.Dataset with the dimensions run, repeat and k; NaN where a run has no record at k."""
        xarray = _imported("xarray", "to_xarray")
        some = [run.to_xarray().drop_vars("x", errors="ignore") for run in self]
        return xarray.concat(
            some, xarray.DataArray(self.labels, dims="run", name="run"), combine_attrs="drop", join="outer"
        )

    def __repr__(self) -> str:
        lines = [f"<{self.trajectory.name}: {counted(len(self), 'run')}", *map(repr, self)]
        return "\n  ".join(lines) + ">"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 repeat", "3 repeats"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _stacked(columns: list[np.ndarray]) -> np.ndarray:
    """Return columns as rows of one array, the short ones filled up with NaN."""
    if not columns:
        return np.zeros((0, 0))
    longest = max(map(len, columns))
    if all(len(column) == longest for column in columns):
        return np.stack(columns)
    filled = np.full((len(columns), longest, *columns[0].shape[1:]), np.nan)
    for row, column in zip(filled, columns, strict=True):
        row[: len(column)] = column
    return filled


def _imported(name: str, function: str) -> Any:
    """Return a package that is needed here alone; raise InputError, which says how to get it, where it is missing."""
    try:
        return import_module(name)
    except ImportError:
        raise InputError(function, f"expected {name} to be installed: pip install {name}") from None
