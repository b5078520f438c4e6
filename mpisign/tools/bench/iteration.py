"""Time the framework's own cost: an iteration without its gradient, records, evaluations."""

import tempfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from textwrap import dedent

import numpy as np

from mpisign.algorithms.methods import METHODS
from mpisign.arrays import Floats
from mpisign.comm.communicator import SerialCommunicator
from mpisign.config import experiment
from mpisign.engine import planning, runner
from mpisign.engine.recorder import Recorder
from mpisign.engine.records.evaluation import Evaluation
from mpisign.problems.quadratic import Separable
from mpisign.storage.trajectory import Trajectory
from mpisign.storage.writer import TrajectoryWriter
from mpisign.tools.bench.bare import loop_of
from mpisign.tools.bench.compiled import always_compiled
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


_STRETCHES = {
    "CE-A, d = 2, M = 1": """
        [problem]
        kind = "finite-quadratic"
        eigenvalues = [1.0, 1.0]
        weights = [0.1, 0.1, 0.2, 0.6]
        atoms = [[-0.4, 1.0], [-0.4, -1.0], [0.4, 0.0], [0.0, 0.0]]
        [oracle]
        kind = "minibatch"
        batch = 1
        [[runs]]
        method = "scaled-sign"
        workers = 1
        step = { kind = "constant", alpha = 1e-3 }
        """,
    "breast-cancer, d = 30, batch 1, M = 3": _JOB.replace("batch = 64", "batch = 1"),
    "breast-cancer, d = 30, batch 64, M = 3": _JOB,
}
"""Jobs whose iterations are timed in the interpreter and compiled."""


def compiled(effort: Effort) -> Iterator[Ratio]:
    """Measure how many times as fast iterations between two records are in compiled code, in one process."""
    for name, job in _STRETCHES.items():
        values = [
            _seconds(job, "never", effort) / _seconds(job, "always", effort) for _ in range(min(effort.slices, 6))
        ][1:]
        yield summary(f"an iteration in the interpreter / compiled, {name}", values)


def _seconds(job: str, compile_when: str, effort: Effort) -> float:
    """Return the seconds that the iterations of a job took, by the clock of its records."""
    with always_compiled(compile_when):
        overrides = [f"iterations={effort.iterations}", "log={points=3}"]
        planned = planning.plan(experiment.parse(dedent(job), overrides), SerialCommunicator())
        memory = BytesIO()
        runner.run(planned, SerialCommunicator(), memory, range(1), quiet=True)
    return float(Trajectory.of_buffer(memory, "bench").runs[0].repeats[0].columns["seconds"][-1])


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
