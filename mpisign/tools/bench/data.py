"""Time data sets: mini-batches and passes against plain numpy, conversion against scikit-learn's reader."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from mpisign.arrays import Floats
from mpisign.config.validation import InputError
from mpisign.data.linear_rows import DenseRows
from mpisign.problems.logistic import Logistic
from mpisign.tools.bench.timing import Effort, Ratio, Unmeasured, compare, seconds, summary

_BATCH = 256
_POINTS = 100


def minibatch(effort: Effort) -> Iterator[Ratio]:
    """Compare a gradient over random rows with copying them plainly, and into memory that is there."""
    rows, rng = _rows(effort)
    samples, dimension = rows.shape
    problem, x, out = Logistic(DenseRows({"rows": rows})), np.zeros(dimension), np.zeros(dimension)
    drawn = [rng.integers(0, samples, _BATCH) for _ in range(20)]
    copy = np.empty((_BATCH, dimension), dtype=np.float32)

    def gradients() -> None:
        for batch in drawn:
            problem.minibatch(x, batch, out)

    def copies() -> None:
        for batch in drawn:
            rows[batch]

    def takes() -> None:
        for batch in drawn:
            np.take(rows, batch, axis=0, out=copy, mode="clip")

    what = f"a mini-batch gradient / copying its {_BATCH} float32 rows, d = {dimension}"
    yield compare(what, gradients, copies, effort, "<= 1")
    yield compare(f"{what}, into memory that is there", gradients, takes, effort)


def passes(effort: Effort) -> Iterator[Ratio]:
    """Compare f and its gradient at many points with plain numpy, and with the same code point by point."""
    rows, rng = _rows(effort)
    problem, points = Logistic(DenseRows({"rows": rows})), rng.standard_normal((_POINTS, rows.shape[1]))
    values = np.empty((_POINTS, 1 + problem.dimension))

    def evaluate(count: int) -> None:
        for segment in range(problem.segments):
            problem.part(points[:count], segment, values[:count])

    size = f"f and gradient at {_POINTS} points, {{}} / all at once, n = {rows.shape[0]}, float32"
    with threadpool_limits(limits=1):
        at_once = [seconds(lambda: evaluate(_POINTS)) for _ in range(5)]
        plain = [seconds(lambda: _plain(rows, points[0])) for _ in at_once]
        each = [seconds(lambda: evaluate(1), 3) for _ in at_once]
    for how, times, goal in (("each by plain numpy", plain, ">= 15"), ("each alone", each, "")):
        yield summary(size.format(how), [_POINTS * a / b for a, b in zip(times, at_once, strict=True)], goal)


def _plain(rows: npt.NDArray[np.float32], x: Floats) -> tuple[float, Floats]:
    """Return Example 5's f and gradient as one would write them."""
    margins, n = rows @ x, len(rows)
    return np.logaddexp(0, -margins).mean() + x @ x / (2 * n), x / n - (1 / (1 + np.exp(margins))) @ rows / n


def _rows(effort: Effort) -> tuple[npt.NDArray[np.float32], np.random.Generator]:
    """Return random rows, float32, and the generator that made them."""
    rng = np.random.default_rng(0)
    return rng.standard_normal(effort.shape, dtype=np.float32), rng


def conversion(effort: Effort) -> Iterator[Ratio | Unmeasured]:
    """Compare `data convert` on one rank with reading the same text, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        text, made = Path(folder) / "rows.svm", Path(folder) / "rows.h5"
        _write_text(text, effort)
        reader = "import sys; from sklearn.datasets import load_svmlight_file as read; read(sys.argv[1])"
        reading = [sys.executable, "-c", reader, str(text)]
        converting = [sys.executable, "-m", "mpisign", "data", "convert", str(text), str(made), "--overwrite"]
        used, failed = [], ""
        try:
            used = [(_used("the reader", reading), _used("data convert", converting)) for _ in range(effort.launches)]
        except InputError as error:
            failed = error.complaint
    size = f"scikit-learn's reader / data convert, {effort.text >> 20} MB of text"
    for what, which, goal in (("time", 0, ">= 1"), ("peak memory", 1, "")):
        if failed:
            yield Unmeasured(f"{what} of {size}", failed)
        else:
            yield summary(f"{what} of {size}", [read[which] / converted[which] for read, converted in used], goal)


def _write_text(path: Path, effort: Effort) -> None:
    """Write lines of 500 features, of which some hundred differ."""
    rng = np.random.default_rng(0)
    label = "-1 {}\n+1 {}\n"
    features = [" ".join(f"{j}:{v:.6f}" for j, v in enumerate(rng.standard_normal(500), 1)) for _ in range(200)]
    some = "".join(label.format(*pair) for pair in zip(features[::2], features[1::2], strict=True))
    with path.open("w") as file:
        for _ in range(-(-effort.text // len(some))):
            file.write(some)


def _used(who: str, command: list[str]) -> tuple[float, float]:
    """Run a command; return its seconds and its peak of resident memory.

    Raises:
        InputError: If it fails.
    """
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise InputError("", f"{who} ended with status {process.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss
