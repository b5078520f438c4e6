"""The framework's own cost: an iteration without its gradient, records, evaluations."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mpisign import experiment, loop, planning, runner
from mpisign.arrays import Floats
from mpisign.bench.timing import Effort, Ratio, Stopwatch, seconds, summary
from mpisign.checkpoints import Checkpoints
from mpisign.exchanges import meeting
from mpisign.experiment import Log
from mpisign.methods import METHODS
from mpisign.problems.quadratic import Separable
from mpisign.randomness import Draws
from mpisign.ranks import Alone
from mpisign.recorder import Evaluation, Recorder, schedule
from mpisign.server import plan_server
from mpisign.state import at_start
from mpisign.writing import TrajectoryWriter

_JOB = """
problem = { kind = "logistic", data = "breast-cancer" }
oracle = { kind = "minibatch", batch = 64 }
[[runs]]
method = "scaled-sign"
workers = 3
step = { kind = "constant", alpha = 0.05 }
"""


def iteration(name: str, dimension: int, effort: Effort) -> Ratio:
    """The framework's own cost of an iteration at M = 1, without the gradient and without MPI."""
    one, iterations = np.zeros(1), effort.iterations // 4
    run = _loop(name, dimension, iterations)
    run()
    values = [seconds(run) / iterations / seconds(lambda: np.add(one, 1.0, out=one), 20000) for _ in range(9)]
    what = f"an iteration of {name} without gradient / one-element numpy.add, d = {dimension}"
    return summary(what, values, "<= 40")


def _loop(name: str, dimension: int, iterations: int) -> Callable[[], object]:
    method, alone, draws = METHODS[name](), Alone(), Draws(0, 0)
    problem = Separable(eigenvalues=[1.0] * dimension)
    gradient = np.random.default_rng(0).standard_normal(dimension)

    def source(x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
        if out[0] != gradient[0]:  # the first time: afterwards it costs nothing
            out[:] = gradient

    def run() -> None:
        server = plan_server(method, 1, dimension, meeting("server", alone), draws)
        recorder = Recorder(Evaluation(problem, alone, 2), server, schedule(Log(points=2), iterations), None, False)
        with Checkpoints(alone) as checkpoints:
            repeat = loop.Repeat(method, source, lambda k: 1e-9, iterations, server, draws, recorder, checkpoints)
            loop.iterate(repeat, at_start(method, np.zeros(dimension), server, [0]))

    return run


def logging(effort: Effort) -> Iterator[Ratio]:
    """The shares of a whole run that go into records and their file, and into f and its gradient for them."""
    shares = [_shares(effort) for _ in range(5)]
    size = f"of a run, breast-cancer, M = 3, K = {effort.iterations}, default log"
    yield summary(f"records and file, share {size}", [share[0] for share in shares], "<= 0.02")
    yield summary(f"evaluating f, share {size}", [share[1] for share in shares], "")


def _shares(effort: Effort) -> tuple[float, float]:
    evaluating, recording = Stopwatch(Evaluation, "run"), Stopwatch(Recorder, "record", "stop")
    writing = Stopwatch(TrajectoryWriter, "__init__", "run", "repeat", "commit", "__exit__")
    planned = planning.plan(experiment.parse(_JOB, [f"iterations={effort.iterations}"]), Alone())
    with tempfile.TemporaryDirectory() as folder, evaluating, recording, writing:
        total = seconds(lambda: runner.run(planned, Alone(), Path(folder) / "run.h5", range(1)))
    return (recording.seconds + writing.seconds - evaluating.seconds) / total, evaluating.seconds / total
