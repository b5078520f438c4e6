"""Bits of an iteration, as the trajectory file will count them."""

from typing import NamedTuple

from mpisign.aggregation.exchange import Central, Exchange, Format
from mpisign.aggregation.server import plan_server
from mpisign.comm.communicator import SerialCommunicator
from mpisign.engine.planning import PlannedRun
from mpisign.rng import RandomStreams


class Bits(NamedTuple):
    """up: of all workers together. down: to all of them. most_up, most_down: where signs have a second plane,
    because workers' vectors have zeros and votes tie."""

    up: int
    down: int
    most_up: int
    most_down: int


def bits(run: PlannedRun, dimension: int) -> Bits:
    """Those of a worker's messages, times M."""
    row, *weak = exchanges(run, dimension)
    up, down, most_up, most_down = row.bits_up, row.bits_down, row.bits_up, row.bits_down
    if weak and run.method.zeros == "exact":  # the reply comes twice: once as a question
        most_up, most_down = up + weak[0].bits_up, 2 * down + weak[0].bits_down
    return Bits(*(run.workers * count for count in (up, down, most_up, most_down)))


def exchanges(run: PlannedRun, dimension: int) -> list[Exchange]:
    """What the run's own server plans for one worker: what meets in every round, and what where there are zeros."""
    made: list[Exchange] = []

    def meet(workers: int, form: Format) -> Exchange:
        made.append(Central(SerialCommunicator(), workers, form))
        return made[-1]

    plan_server(run.method, 1, dimension, meet, RandomStreams(0, 0))
    return made
