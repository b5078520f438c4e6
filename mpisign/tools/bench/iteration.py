"""Time the framework's own cost: an iteration without its gradient, records, evaluations."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mpisign.algorithms.methods import METHODS
from mpisign.arrays import Floats
from mpisign.comm.communicator import SerialCommunicator
from mpisign.config import experiment
from mpisign.engine import planning, runner
from mpisign.engine.recorder import Evaluation, Recorder
from mpisign.problems.quadratic import Separable
from mpisign.storage.writer import TrajectoryWriter
from mpisign.tools.bench.bare import loop_of
from mpisign.tools.bench.timing import Effort, Ratio, Stopwatch, seconds, summary

_JOB = """
problem = { kind = "logistic", data = "breast-cancer" }
oracle = { kind = "minibatch", batch = 64 }
[[runs]]
method = "scaled-sign"
workers = 3
step = { kind = "constant", alpha = 0.05 }
"""

_DIMENSION = 2000
"""Number of coordinates, that of epsilon."""


def iteration(name: str, effort: Effort) -> Ratio:
    """Measure the framework's own cost of an iteration at M = 1, without the gradient and without MPI."""
    one, iterations = np.zeros(1), effort.iterations // 4
    run = _loop(name, iterations)
    run()
    values = [seconds(run) / iterations / seconds(lambda: np.add(one, 1.0, out=one), 20000) for _ in range(9)]
    what = f"an iteration of {name} without gradient / one-element numpy.add, d = {_DIMENSION}"
    return summary(what, values, "<= 40")


def _loop(name: str, iterations: int) -> Callable[[], object]:
    """Return a call that runs the loop of a method with a gradient that costs nothing."""
    gradient = np.random.default_rng(0).standard_normal(_DIMENSION)

    def source(x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
        if out[0] != gradient[0]:  # the first time: afterwards it costs nothing
            out[:] = gradient

    return loop_of(METHODS[name](), source, Separable(eigenvalues=[1.0] * _DIMENSION), 1e-9, iterations)


def logging(effort: Effort) -> Iterator[Ratio]:
    """Measure the shares of a whole run that go into records and their file, and into f and its gradient for them."""
    shares = [_shares(effort) for _ in range(5)]
    size = f"of a run, breast-cancer, M = 3, K = {effort.iterations}, default log"
    yield summary(f"records and file, share {size}", [share[0] for share in shares], "<= 0.02")
    yield summary(f"evaluating f, share {size}", [share[1] for share in shares], "")


def _shares(effort: Effort) -> tuple[float, float]:
    """Run once; return the share of records and their file, and that of evaluating f."""
    evaluating, recording = Stopwatch(Evaluation, "run"), Stopwatch(Recorder, "record", "stop")
    writing = Stopwatch(TrajectoryWriter, "__init__", "run", "repeat", "commit", "__exit__")
    planned = planning.plan(experiment.parse(_JOB, [f"iterations={effort.iterations}"]), SerialCommunicator())
    with tempfile.TemporaryDirectory() as folder, evaluating, recording, writing:
        total = seconds(lambda: runner.run(planned, SerialCommunicator(), Path(folder) / "run.h5", range(1)))
    return (recording.seconds + writing.seconds - evaluating.seconds) / total, evaluating.seconds / total
