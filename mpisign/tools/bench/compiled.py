"""Provide rounds and iterations in compiled code, to be timed."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import numpy as np

from mpisign.aggregation.exchange_registry import exchange_factory
from mpisign.aggregation.server import plan_server
from mpisign.algorithms.compiled_loop import Arrays, Compiled, ahead_of
from mpisign.algorithms.methods import Method, ScaledSign
from mpisign.algorithms.step_sizes import Constant
from mpisign.arrays import Floats
from mpisign.comm.communicator import Communicator
from mpisign.compiled.text import Part, Text
from mpisign.engine.records.recording import NullRecorder
from mpisign.engine.state import at_start, place_iterate
from mpisign.rng import RandomStreams

_SETTING = "MPISIGN_COMPILE"


@contextmanager
def always_compiled(setting: str = "always") -> Iterator[None]:
    """Let iterations be compiled at once inside the context; or never, as `setting` says."""
    before = os.environ.get(_SETTING)
    os.environ[_SETTING] = setting
    try:
        yield
    finally:
        os.environ.pop(_SETTING)
        os.environ.update({} if before is None else {_SETTING: before})


class _Given(NamedTuple):
    """The parameters of a source: the gradient that it always gives."""

    gradient: Floats


def _same(p: _Given, x: Floats, worker: int, generator: np.random.Generator, out: Floats) -> None:
    """Write the gradient at the first time; afterwards it is there and costs nothing."""
    if out[0] != p.gradient[0]:
        out[:] = p.gradient


def compiled_rounds(
    ranks: Communicator, exchange: str, gradient: Floats, stack: ExitStack
) -> Callable[[int], object] | None:
    """Return a call of so many rounds in compiled code, with packing and a step; None where there is no such thing.

    It is compiled, in the context `always_compiled`, when it is first called.

    Args:
        ranks: The ranks; one worker on each but the first.
        exchange: The name of an exchange.
        gradient: What every worker of this rank sends, shape (d,).
        stack: Gives back what it holds.
    """
    method: Method = ScaledSign()
    streams, workers = RandomStreams(0, 0), ranks.size - 1
    factory = exchange_factory(exchange, ranks)
    server = stack.enter_context(plan_server(method, workers, len(gradient), factory, streams))
    state = at_start(method, np.zeros(len(gradient)), server, list(range(workers)))
    x = place_iterate(method, state.x, server)
    source, step = Part(Text.of(_same), _Given(gradient)).function(), Constant(alpha=1e-9).plan(None)
    ahead = ahead_of(method, source, step, server, streams, Arrays(x, state.memory, state.shared))

    def rounds(count: int) -> None:
        """Do so many rounds."""
        assert not list(ahead.left(range(count), NullRecorder()))

    return rounds if isinstance(ahead, Compiled) else None
