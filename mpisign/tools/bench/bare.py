"""Provide the real loop of one process with nothing around it, to be timed."""

from collections.abc import Callable

import numpy as np

from mpisign.aggregation.exchange_registry import exchange_factory
from mpisign.aggregation.server import plan_server
from mpisign.algorithms.methods import Method
from mpisign.algorithms.oracles import Source
from mpisign.comm.communicator import SerialCommunicator
from mpisign.config.experiment import Log
from mpisign.engine import loop
from mpisign.engine.checkpointing import Checkpoints
from mpisign.engine.recorder import Recorder
from mpisign.engine.records.evaluation import Evaluation, never
from mpisign.engine.records.schedule import schedule
from mpisign.engine.state import at_start
from mpisign.problems import Problem
from mpisign.rng import RandomStreams


def loop_of(method: Method, source: Source, problem: Problem, alpha: float, iterations: int) -> Callable[[], object]:
    """Return a call that runs so many iterations from 0 with a constant step at M = 1, recorded at their two ends."""
    alone, streams, dimension = SerialCommunicator(), RandomStreams(0, 0), problem.dimension

    def run() -> None:
        server = plan_server(method, 1, dimension, exchange_factory("server", alone), streams)
        recorder = Recorder(_Nowhere(problem, alone, 2), server, schedule(Log(points=2), iterations), None, False)
        with Checkpoints(alone) as checkpoints:
            repeat = loop.Repeat(method, source, lambda k: alpha, iterations, server, streams, recorder, checkpoints)
            loop.iterate(repeat, at_start(method, np.zeros(dimension), server, [0]))

    return run


class _Nowhere(Evaluation):
    """An evaluation that evaluates nothing: f is no part of an iteration."""

    def run(self, interrupted: Callable[[], bool] = never) -> np.ndarray:
        return np.zeros((len(self.points), 1 + self.points.shape[1]))
