"""Write small files of every kind: the page on the files takes names, dtypes and shapes from them."""

import contextlib
import io
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import mpisign
from mpisign.audit import bounds, claims
from mpisign.audit.claims.claim import Claim, Drawing, Table, Verdict
from mpisign.audit.json_rows import write_rows
from mpisign.audit.report import build
from mpisign.audit.report.pictures import Picture
from mpisign.comm.communicator import SerialCommunicator
from mpisign.data.convert import Wanted, convert
from mpisign.data.synthetic.generate import Recipe, synthesise
from mpisign.engine.merging import merge
from mpisign.storage.checkpoint import Checkpoint, Counters, Memories, Pending
from mpisign.storage.memory import MemoryWriter
from mpisign.storage.provenance import provenance, sites
from mpisign.storage.trajectory import COLUMNS, Trajectory
from mpisign.tools.bench import results_file
from mpisign.tools.bench.timing import Ratio, Time, Traffic, Unmeasured


class Example(NamedTuple):
    """A file, or a buffer with its content.

    Attributes:
        file: Where it is.
        sizes: What a length in it stands for: no two of them are the same number.
    """

    file: Path | BytesIO
    sizes: Mapping[int, str]


class Unstated(mpisign.Problem):
    """f(x) = ||x||^2, which does not say what its minimum is."""

    dimension = 13

    def value(self, x: np.ndarray) -> float:
        """Return f(x)."""
        return float(x @ x)

    def gradient(self, x: np.ndarray, out: np.ndarray) -> None:
        """Write the gradient to `out`."""
        out[:] = 2 * x


class Rough(Unstated):
    """The same, with values that are said to be off by nothing, as those of much float32 data are by something."""

    has_rough_part = True

    def rough_part(self, points: np.ndarray, segment: int, out: np.ndarray) -> None:
        """Write f, its gradient and the limits of their errors to `out`."""
        self.part(points, segment, out[:, :-2])
        out[:, -2:] = 0.0


_RECORDS, _D, _WIDE, _WORKERS = 11, 13, 41, 3
_WAITING = 17
_KNOWN_BEFORE = ("k", "scale", "step", "ties", "bits_up", "bits_down", "seconds")
"""Columns of a record at which f is still to be evaluated."""
_SIZES = {_RECORDS: "records", _D: "d", _WORKERS: "M", _WAITING: "w"}
_STEP = mpisign.Constant(alpha=0.01)
_LOG = {"every": 1, "iterates": True}


def trajectories(folder: Path) -> list[Example]:
    """Write trajectory files: slices, resumed and merged ones, diverged repeats, and one that still runs."""
    with contextlib.redirect_stderr(io.StringIO()):  # such as the line on an f* that is not known
        _merged(folder)
        for name, problem in _problems().items():
            mpisign.run(_experiment(problem), folder / name, progress=False)
        mpisign.run(_wide(), folder / "wide.h5", progress=False)
        mpisign.run(_clocked(), folder / "clocked.h5", progress=False)
    files = [Example(path, _SIZES | {_WIDE: "d", 6: "records"}) for path in sorted(folder.glob("*.h5"))]
    return [*files, Example(_running(), {**_SIZES, 1: "losses", 5: "p", 7: "q"})]


def _problems() -> dict[str, Any]:
    singular = np.diag([1.0] * (_D - 1) + [0.0]).tolist()
    atoms = [[1.0] * _D, [-1.0] * _D]
    return {
        "singular.h5": mpisign.Quadratic(matrix=singular),
        "finite.h5": mpisign.FiniteQuadratic(eigenvalues=[1.0] * _D, atoms=atoms, weights=[0.5, 0.5]),
        "unstated.h5": Unstated(),
        "rough.h5": Rough(),
        "definite.h5": mpisign.Separable(eigenvalues=[1.0] * _D),
    }


def _wide() -> mpisign.Experiment:
    """Return one step on a quadratic so wide that L is known between limits alone."""
    rows = np.random.default_rng(1).integers(-9, 10, (_WIDE, _WIDE)).astype(float)
    return _experiment(mpisign.Quadratic(matrix=(rows @ rows.T + np.eye(_WIDE)).tolist()))


def _experiment(problem: Any) -> mpisign.Experiment:
    """Return ten steps on a problem, and others that diverge."""
    oracle = mpisign.Minibatch(batch=2) if "atoms" in getattr(problem, "settings", {}) else mpisign.Full()
    runs = [
        mpisign.Run(label="steps", method=mpisign.ScaledSign(), step=_STEP, workers=_WORKERS),
        mpisign.Run(label="diverges", method=mpisign.GD(), step=mpisign.Constant(alpha=1e200), workers=_WORKERS),
    ]
    return mpisign.Experiment(problem=problem, oracle=oracle, iterations=_RECORDS - 1, runs=runs, log=_LOG)


def _clocked() -> mpisign.Experiment:
    """Return steps whose parts are clocked, and others that end at k = 5 by a rule."""
    method, step = mpisign.ScaledSign(), _STEP
    each = 6 * (64 + 64)  # bits of three workers' messages and replies: a float64 and a word of signs
    runs = [
        mpisign.Run(label="steps", method=method, step=step, workers=_WORKERS),
        mpisign.Run(label="ends", method=method, step=step, workers=_WORKERS, stop={"bits": float(5 * each)}),
    ]
    problem = mpisign.Separable(eigenvalues=[1.0] * _D)
    return mpisign.Experiment(problem=problem, iterations=_RECORDS - 1, runs=runs, log=_LOG | {"clocks": True})


def _merged(folder: Path) -> None:
    """Write a job's two repeats as slices, one of them in two goes, and merge them."""
    problem, oracle = mpisign.Logistic(data="wine"), mpisign.Minibatch(batch=4)
    run = mpisign.Run(method=mpisign.ScaledSign(), step=_STEP, workers=_WORKERS)
    job = mpisign.Experiment(
        name="example", problem=problem, oracle=oracle, iterations=_RECORDS - 1, repeats=2, runs=[run], log=_LOG
    )
    one, other = folder / "slice-0.h5", folder / "slice-1.h5"
    mpisign.run(job, one, repeats=range(0, 1), progress=False)
    mpisign.run(job, one, mode="resume", progress=False)
    mpisign.run(job, other, repeats=range(1, 2), progress=False)
    merge(folder / "merged.h5", [one, other])


def _running() -> BytesIO:
    """Return a file with a repeat that has not ended, and has lost a worker."""
    buffer = BytesIO()
    with MemoryWriter(buffer, {}) as writer:
        writer.run("steps", {})
        repeat = writer.repeat("steps", 0, np.arange(_RECORDS), _D, iterates=True)
        repeat.shrunk(4, _WORKERS)
        memory, shared = Memories((_WORKERS, 5), np.zeros((_WORKERS, 5))), np.zeros(7)
        columns = {name: np.zeros(_WAITING, COLUMNS[name][0]) for name in _KNOWN_BEFORE}
        pending = Pending(np.zeros((_WAITING, _D)), np.zeros((_WAITING, _D), np.int8), columns)
        kept = Checkpoint(4, Counters(), range(_WORKERS), np.zeros(_D), memory, shared, pending=pending)
        repeat.save(kept)
    return buffer


def data(folder: Path) -> list[Example]:
    """Write dense data files and sparse ones, of either dtype."""
    ranks, text = SerialCommunicator(), folder / "rows.svm"
    text.write_text("+1 1:0.5 3:1\n-1 2:2\n+1 1:1 2:-1\n-1 3:-0.5 9:1\n+1 4:2\n")
    with contextlib.redirect_stderr(io.StringIO()):
        for dtype in ("float32", "float64"):
            synthesise(Recipe("epsilon", 5, 9, 1, dtype), folder / f"dense-{dtype}.h5", False, ranks)
            convert(text, folder / f"sparse-{dtype}.h5", Wanted(dtype, sparse=True), ranks)
    return [Example(path, {5: "n", 9: "d", 6: "n + 1", 8: "nnz"}) for path in sorted(folder.glob("*.h5"))]


def documents(folder: Path) -> dict[str, Path]:
    """Write what `check --json`, `report` and `bench -o` write; needs the trajectory files in `folder`."""
    found = [
        row
        for name in ("merged", "wide", "definite")
        for row in bounds.check(Trajectory(folder / f"{name}.h5", iterates=True))
    ]
    write_rows(folder / "check.json", [row.document() for row in found])
    drawn = {"id": [Picture("pictures/id.png", "caption", "alt")]}
    build.write(folder / "report.json", build.as_json({**claims.entries({}), "Example": [_claim()]}, drawn))
    ranks = SerialCommunicator()
    traffic = Traffic("e", "", 1, 1, [1.0], [1.0], [1.0])
    results = [Ratio("a", 1.0, 1.0, 1.0), Time("b", "", 1, 1, [1.0]), Unmeasured("c", "d"), traffic]
    results_file.write(folder / "bench.json", results, provenance(ranks, sites(ranks)))
    return {name: folder / f"{name}.json" for name in ("check", "report", "bench")}


def _claim() -> Claim:
    """Return a claim that has everything."""
    drawing = Drawing("caption", "alt", lambda: None)  # type: ignore[arg-type,return-value]
    made = Claim("id", "title", "", "statement", "job", ["evidence"], Verdict.VIOLATED, "corrected", Verdict.CONFIRMED)
    return made._replace(figures=[drawing], table=Table(["head"], [["cell"]]))
