"""Count the bits of an iteration, as the trajectory file will count them."""

from typing import NamedTuple

from mpisign.aggregation.exchange import Central, Exchange, Format
from mpisign.aggregation.server import plan_server
from mpisign.comm.communicator import SerialCommunicator
from mpisign.engine.planning import PlannedRun
from mpisign.rng import RandomStreams


class Bits(NamedTuple):
    """Bits of one iteration.

    Attributes:
        up: From all workers together.
        down: To all workers together.
        most_up: As `up`, where signs have a second plane, because workers' vectors have zeros and votes tie.
        most_down: As `down`, in the same case.
    """

    up: int
    down: int
    most_up: int
    most_down: int


def bits(run: PlannedRun, dimension: int) -> Bits:
    """Return the bits of a worker's messages, times M."""
    row, *weak = exchanges(run, dimension)
    up, down, most_up, most_down = row.bits_up, row.bits_down, row.bits_up, row.bits_down
    if weak and run.method.zeros == "exact":  # the reply comes twice: once as a question
        most_up, most_down = up + weak[0].bits_up, 2 * down + weak[0].bits_down
    return Bits(*(run.workers * count for count in (up, down, most_up, most_down)))


def exchanges(run: PlannedRun, dimension: int) -> list[Exchange]:
    """Return the exchanges that the run's own server plans for one worker.

    The first one is used in every round, a second one where there are zeros.
    """
    made: list[Exchange] = []

    def meet(workers: int, form: Format) -> Exchange:
        made.append(Central(SerialCommunicator(), workers, form))
        return made[-1]

    plan_server(run.method, 1, dimension, meet, RandomStreams(0, 0), run.real)
    return made
