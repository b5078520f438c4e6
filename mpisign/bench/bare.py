"""The real loop of one process with nothing around it, to be timed."""

from collections.abc import Callable

import numpy as np

from mpisign import loop
from mpisign.checkpoints import Checkpoints
from mpisign.exchanges import meeting
from mpisign.experiment import Log
from mpisign.methods import Method
from mpisign.oracles import Source
from mpisign.problems import Problem
from mpisign.randomness import Draws
from mpisign.ranks import Alone
from mpisign.recorder import Evaluation, Recorder, schedule
from mpisign.server import plan_server
from mpisign.state import at_start


def loop_of(method: Method, source: Source, problem: Problem, alpha: float, iterations: int) -> Callable[[], object]:
    """So many iterations from 0 with a constant step at M = 1, recorded at their two ends."""
    alone, draws, dimension = Alone(), Draws(0, 0), problem.dimension

    def run() -> None:
        server = plan_server(method, 1, dimension, meeting("server", alone), draws)
        recorder = Recorder(_Nowhere(problem, alone, 2), server, schedule(Log(points=2), iterations), None, False)
        with Checkpoints(alone) as checkpoints:
            repeat = loop.Repeat(method, source, lambda k: alpha, iterations, server, draws, recorder, checkpoints)
            loop.iterate(repeat, at_start(method, np.zeros(dimension), server, [0]))

    return run


class _Nowhere(Evaluation):
    """Records that are not evaluated: f is none of an iteration."""

    def run(self) -> np.ndarray:
        return np.zeros((len(self.points), 1 + self.points.shape[1]))
