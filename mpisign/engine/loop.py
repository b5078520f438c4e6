"""Iterate Algorithm 3: one loop for every method, every problem, one process or many ranks."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mpisign.aggregation.server import Server
from mpisign.algorithms.compiled_loop import INTERPRETED, Interpreted
from mpisign.algorithms.methods import Method
from mpisign.algorithms.oracles import Source
from mpisign.engine.checkpointing import Checkpoints
from mpisign.engine.records.recording import Recording
from mpisign.engine.state import State
from mpisign.rng import RandomStreams, Stream


class Repeat(NamedTuple):
    """All that one repeat of one run needs, planned before its first iteration.

    Attributes:
        method: what workers send and how the reply changes x.
        source: writes a worker's stochastic gradient.
        step: alpha_k, by k.
        iterations: K.
        server: the parameter server, with the messages of the workers that this rank hosts.
        streams: the random numbers of the repeat.
        recorder: keeps the records, and saves states.
        checkpoints: where the ranks pause.
        ahead: does iterations in compiled code.
    """

    method: Method
    source: Source
    step: Callable[[int], float]
    iterations: int
    server: Server
    streams: RandomStreams
    recorder: Recording
    checkpoints: Checkpoints
    ahead: Interpreted = INTERPRETED


def iterate(repeat: Repeat, state: State) -> int | None:
    """Take x_k to x_K in place, the same on every rank.

    Args:
        repeat: what is run.
        state: the state before its iteration k.

    Returns:
        None, or the k at which x_k or a gradient there was no longer finite, where the repeat ends.

    Raises:
        StopRequested: a signal asked for a stop, and the state was saved.
    """
    method, source, step, iterations, server, streams, recorder, checkpoints, ahead = repeat
    first, _, x, memories, shared = state
    memory = dict(zip(server.hosted, memories, strict=True))
    gradient = np.empty_like(x)
    recorder.start()
    recorder.obey(state)
    for span in checkpoints.over(first, iterations, lambda k: recorder.save(state._replace(k=k))):
        for k in ahead.left(span, recorder):
            server.start_iteration(k)
            alpha = step(k)
            for worker in server.hosted:
                point = method.query(x, memory[worker])
                source(point, worker, streams.generator(Stream.ORACLE, worker, k), gradient)
                method.encode(gradient, alpha, memory[worker], server.message(worker))
            reply = server.aggregate()
            # All ranks have the same reply, so all of them leave the loop here without a collective.
            if not math.isfinite(reply.number):
                return recorder.stop(k, x)
            if k == recorder.due and recorder.record(k, x, alpha, reply):
                return None  # a rule of the run's `stop` holds
            method.step(x, alpha, reply, shared)
            if recorder.stopped_by:
                recorder.obey(state._replace(k=k + 1))
        if ahead.diverged_at is not None:
            return recorder.stop(ahead.diverged_at, x)
    # No iteration K follows; the last record needs the bits that were counted up to here.
    server.start_iteration(iterations)
    diverged_at = recorder.stop(iterations, x)
    recorder.obey(state._replace(k=iterations))
    return diverged_at
