"""Algorithm 3. One loop for every method, every problem, one process or many ranks."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mpisign.arrays import Floats
from mpisign.methods import Method
from mpisign.oracles import Source
from mpisign.progress import Progress
from mpisign.randomness import Draws, Purpose
from mpisign.recorder import Recorder
from mpisign.server import Server


class Repeat(NamedTuple):
    """All that one repeat of one run needs, planned before its first iteration."""

    method: Method
    source: Source
    step: Callable[[int], float]
    iterations: int
    server: Server
    draws: Draws
    recorder: Recorder
    progress: Progress


def iterate(repeat: Repeat, x: Floats) -> int | None:
    """x_0 -> x_K in place, the same on every rank.

    Returns None, or the k at which x_k or a gradient there was no longer finite, where the repeat ends.
    """
    method, source, step, iterations, server, draws, recorder, progress = repeat
    gradient = np.empty(len(x))
    memory = {worker: method.memory(len(x)) for worker in server.hosted}
    shared = method.shared(len(x))
    recorder.start()
    for k in progress.over(iterations):
        server.begin(k)
        alpha = step(k)
        for worker in server.hosted:
            point = method.query(x, memory[worker])
            source(point, worker, draws.at(Purpose.ORACLE, worker, k), gradient)
            method.encode(gradient, alpha, memory[worker], server.message(worker))
        reply = server.round()
        if not math.isfinite(reply.number):
            return recorder.stop(k, x)
        if k == recorder.due:
            recorder.record(k, x, alpha, reply)
        method.step(x, alpha, reply, shared)
    server.begin(iterations)
    return recorder.stop(iterations, x)
