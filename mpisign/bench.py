"""The speed of the kernels and of the loop, as ratios to plain numpy operations taken in the same run.

Each ratio is the median over rounds in which both sides are timed one after the other, after a warm-up, with its
quartiles; it can be compared between machines where seconds cannot.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from mpisign import experiment, loop, planes, runner
from mpisign.arrays import Floats, Words
from mpisign.exchange import Alone
from mpisign.experiment import Log
from mpisign.methods import METHODS
from mpisign.problems.logistic import Logistic
from mpisign.problems.quadratic import Separable
from mpisign.progress import Progress
from mpisign.randomness import Draws
from mpisign.recorder import Evaluation, Recorder, schedule
from mpisign.rows import DenseRows
from mpisign.server import SERVERS
from mpisign.trajectory import RepeatWriter

_SLICE = 0.005
"""Seconds that a timed slice lasts at least."""

_ROUNDS = 15

_SHAPE = 20000, 2000
"""n and d of the data on which passes and mini-batches are timed, in float32."""

_JOB = """
iterations = 20000
problem = { kind = "logistic", data = "breast-cancer" }
oracle = { kind = "minibatch", batch = 64 }
[[runs]]
method = "scaled-sign"
workers = 3
step = { kind = "constant", alpha = 0.05 }
"""


class Ratio(NamedTuple):
    """`what` was measured, its median with the lower and upper quartile, and what it should reach."""

    what: str
    median: float
    low: float
    high: float
    goal: str


def measure() -> Iterator[Ratio]:
    """Every ratio, one after the other."""
    yield from _kernels(2**20)
    for dimension in (2**11, 2**20):
        yield from _vote(dimension, workers=15)
    for name in METHODS:
        yield _iteration(name, dimension=2000)
    yield from _logging()
    yield from _data(*_SHAPE)


def table(ratios: Iterator[Ratio]) -> Iterator[str]:
    """One line a ratio, as they come."""
    yield f"{'ratio':76} {'median':>8}  {'quartiles':>17}  goal"
    for ratio in ratios:
        spread = f"{ratio.low:.3g} - {ratio.high:.3g}"
        yield f"{ratio.what:76} {ratio.median:8.3g}  {spread:>17}  {ratio.goal}"


def compare(what: str, one: Callable[[], object], other: Callable[[], object], goal: str) -> Ratio:
    """Time of `one` over time of `other`."""
    repeats = [_repeats(one), _repeats(other)]
    pairs = ((_seconds(one, repeats[0]), _seconds(other, repeats[1])) for _ in range(_ROUNDS))
    return _summary(what, [a / b for a, b in pairs], goal)


def _summary(what: str, values: list[float], goal: str) -> Ratio:
    low, median, high = statistics.quantiles(values, n=4)
    return Ratio(what, median, low, high, goal)


def _seconds(call: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def _repeats(call: Callable[[], object]) -> int:
    call()
    return max(1, int(_SLICE / _seconds(call, 3)))


def _kernels(dimension: int) -> Iterator[Ratio]:
    vector = np.random.default_rng(0).standard_normal(dimension)
    strict = np.zeros(planes.words(dimension), dtype=np.uint64)
    x = np.zeros(dimension)
    yield compare(
        f"pack with the l1 norm / numpy.sum, d = {dimension}",
        lambda: planes.pack(vector, strict),
        lambda: np.sum(vector),
        "<= 1.5",
    )
    yield compare(
        f"apply a packed vote / numpy.add, d = {dimension}",
        lambda: planes.subtract(x, 1e-9, strict),
        lambda: np.add(x, 1e-9, out=x),
        "<= 1.5",
    )


def _vote(dimension: int, workers: int) -> Iterator[Ratio]:
    """Against a plain sum, and against one that is told the smallest type that holds the counts."""
    width = planes.words(dimension)
    rows: Words = np.random.default_rng(0).integers(0, 2**64, (workers, width), dtype=np.uint64)
    strict, weak = np.zeros((2, width), dtype=np.uint64)
    nobody, bits = rows[:0], rows.view(np.uint8)
    goals = {"sum": ">= 10" if dimension < 2**20 else ">= 15", "sum in uint8": ""}
    for what, dtype in (("sum", None), ("sum in uint8", np.uint8)):
        yield compare(
            f"numpy.unpackbits and a {what} / vote, M = {workers}, d = {dimension}",
            lambda dtype=dtype: np.unpackbits(bits, axis=1, bitorder="little").sum(axis=0, dtype=dtype),  # type: ignore[misc]
            lambda: planes.vote(rows, nobody, strict, weak),
            goals[what],
        )


def _iteration(name: str, dimension: int) -> Ratio:
    """The framework's own cost of an iteration at M = 1, without the gradient and without MPI."""
    one, iterations = np.zeros(1), 5000
    run = _loop(name, dimension, iterations)
    run()
    values = [_seconds(run, 1) / iterations / _seconds(lambda: np.add(one, 1.0, out=one), 20000) for _ in range(9)]
    what = f"an iteration of {name} without gradient / one-element numpy.add, d = {dimension}"
    return _summary(what, values, "<= 40")


def _loop(name: str, dimension: int, iterations: int) -> Callable[[], object]:
    method, alone, draws = METHODS[name](), Alone(), Draws(0, 0)
    problem = Separable(eigenvalues=[1.0] * dimension)
    gradient = np.random.default_rng(0).standard_normal(dimension)

    def source(x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
        if out[0] != gradient[0]:  # the first time: afterwards it costs nothing
            out[:] = gradient

    def run() -> None:
        server = SERVERS[method.message](alone, 1, dimension, method.zeros, draws)
        recorder = Recorder(Evaluation(problem, alone, 2), server, schedule(Log(points=2), iterations), None, False)
        progress = Progress(iterations, quiet=True)
        loop.iterate(
            loop.Repeat(method, source, lambda k: 1e-9, iterations, server, draws, recorder, progress),
            np.zeros(dimension),
        )

    return run


def _logging() -> Iterator[Ratio]:
    """The shares of a whole run that go into records and their file, and into f and its gradient for them."""
    shares = [_shares() for _ in range(5)]
    size = "of a run, breast-cancer, M = 3, K = 20000, default log"
    yield _summary(f"records and file, share {size}", [share[0] for share in shares], "<= 0.02")
    yield _summary(f"evaluating f, share {size}", [share[1] for share in shares], "")


def _shares() -> tuple[float, float]:
    evaluating, recording = _Stopwatch(Evaluation, "run"), _Stopwatch(Recorder, "record", "stop")
    writing = _Stopwatch(RepeatWriter, "__init__", "finish")
    planned = runner.plan(experiment.parse(_JOB, []), Alone())
    with tempfile.TemporaryDirectory() as folder, evaluating, recording, writing:
        total = _seconds(lambda: runner.run(planned, Alone(), Path(folder) / "run.h5", range(1)), 1)
    return (recording.seconds + writing.seconds - evaluating.seconds) / total, evaluating.seconds / total


def _data(samples: int, dimension: int) -> Iterator[Ratio]:
    """A mini-batch against copying its rows, and a pass for many points at once against a pass for each."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((samples, dimension), dtype=np.float32)
    problem, x, out = Logistic(DenseRows({"rows": rows})), np.zeros(dimension), np.zeros(dimension)
    drawn = [rng.integers(0, samples, 256) for _ in range(20)]
    copy = np.empty((256, dimension), dtype=np.float32)

    def gradients() -> None:
        for batch in drawn:
            problem.minibatch(x, batch, out)

    def copies() -> None:
        for batch in drawn:
            np.take(rows, batch, axis=0, out=copy, mode="clip")

    yield compare(f"a mini-batch gradient / copying its 256 float32 rows, d = {dimension}", gradients, copies, "<= 1")
    yield _passes(problem, rng.standard_normal((100, dimension)))


def _passes(problem: Logistic, points: Floats) -> Ratio:
    """A pass over the data for each point, of which three are timed, against one pass for all."""
    values = np.empty((len(points), 1 + problem.dimension))

    def evaluate(count: int) -> None:
        for segment in range(problem.segments):
            problem.part(points[:count], segment, values[:count])

    what = f"f and gradient at {len(points)} points, each alone / all at once, n = {problem.samples}"
    with threadpool_limits(limits=1):
        each = [_seconds(lambda: evaluate(1), 3) for _ in range(5)]
        at_once = [_seconds(lambda: evaluate(len(points)), 1) for _ in range(5)]
    return _summary(what, [len(points) * a / b for a, b in zip(each, at_once, strict=True)], ">= 15")


class _Stopwatch:
    """Adds up the seconds spent in some methods of a class, while it is entered."""

    def __init__(self, owner: type, *names: str):
        self._owner, self._originals = owner, {name: getattr(owner, name) for name in names}
        self.seconds = 0.0

    def __enter__(self) -> None:
        for name, original in self._originals.items():
            setattr(self._owner, name, self._timed(original))

    def __exit__(self, *reason: object) -> None:
        for name, original in self._originals.items():
            setattr(self._owner, name, original)

    def _timed(self, original: Callable[..., object]) -> Callable[..., object]:
        def timed(*arguments: object) -> object:
            start = time.perf_counter()
            try:
                return original(*arguments)
            finally:
                self.seconds += time.perf_counter() - start

        return timed
