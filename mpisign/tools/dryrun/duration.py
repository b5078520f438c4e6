"""Estimate how long a job will take: measured on the ranks at hand, or from one process by the model of a round.

Finding f*, reading data, and starting are not in it.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from mpisign.aggregation.autotune import choose
from mpisign.aggregation.server import plan_server
from mpisign.aggregation.slices.cut import slices
from mpisign.comm.communicator import Communicator
from mpisign.engine.planning import Plan, PlannedRun
from mpisign.problems.distributed_objective import threads_for
from mpisign.rng import RandomStreams
from mpisign.tools.bench.collectives import Network, communication
from mpisign.tools.dryrun.bits import exchanges
from mpisign.tools.dryrun.trial import Seconds, Trial, evaluations

_FAST = Network(latency=1e-6, bandwidth=1e10, adding=1e10, flag=2e-7)
_SLOW = Network(latency=2e-5, bandwidth=1.25e8, adding=1e9, flag=2e-6)
NETWORKS = "a core for each rank, and links from 10 GB/s with 1 microsecond to 1 Gbit/s with 20 microseconds"
"""The two networks, in words: the range of a forecast lies between them."""

_MOST_TRIED = 16
_MOST_BYTES = 2**30
"""Workers that a trial in one process has at most, and bytes of their rows; more are taken to cost in proportion."""


class Duration(NamedTuple):
    """Seconds of one repeat of a run.

    Attributes:
        here: On the ranks at hand.
        ranks: On M + 1 ranks, where these are others.
        exchange: The exchange that was tried.
    """

    here: Seconds
    ranks: Seconds | None
    exchange: str


def duration(plan: Plan, run: PlannedRun, ranks: Communicator, needed: int) -> Duration:
    """Estimate the seconds of one repeat of a run; collective.

    Args:
        plan: The plan.
        run: One of its runs.
        ranks: The ranks at hand.
        needed: The number of ranks of `Duration.ranks`.
    """
    # As in a run: one BLAS thread, and no warning of a step that is too large.
    with threadpool_limits(limits=1), np.errstate(over="ignore", invalid="ignore"):
        server = partial(plan_server, run.method, run.workers, plan.problem.dimension, streams=RandomStreams(0, 0))
        exchange = choose(plan.experiment.exchange, ranks, server).exchange
        blocks, part = evaluations(plan, run, ranks)
        iterations = run.settings.iterations
        here, on_ranks = _measured(plan, run, exchange, ranks, needed)
        return Duration(
            here.times(iterations).plus(_evaluated(plan, blocks, part, ranks.size * threads_for(plan.problem, ranks))),
            on_ranks and on_ranks.times(iterations).plus(_evaluated(plan, blocks, part, needed)),
            exchange,
        )


def _measured(
    plan: Plan, run: PlannedRun, exchange: str, ranks: Communicator, needed: int
) -> tuple[Seconds, Seconds | None]:
    """Return the seconds of an iteration, here and on M + 1 ranks."""
    tried = _tried(plan, run) if ranks.size == 1 else run.workers
    with Trial(plan, run, exchange, ranks, tried) as trial:
        iteration = trial.iteration().times(run.workers / tried)
        if ranks.size > 1:
            return iteration, None
        vote = trial.round().times(run.workers / tried)
    with Trial(plan, run, exchange, ranks, 1) as trial:
        single, idle = trial.iteration(), trial.round()
    # one worker's own work is an iteration less its round; M + 1 ranks do it side by side
    worker = Seconds(max(single.low - idle.low, 0.0), max(single.high - idle.low, 0.0))
    return iteration, worker.plus(_round(plan, run, vote, needed))


def _tried(plan: Plan, run: PlannedRun) -> int:
    """Return how many workers a trial in one process has."""
    row = exchanges(run, plan.problem.dimension)[0].table.nbytes
    return max(1, min(run.workers, _MOST_TRIED, _MOST_BYTES // row))


def _round(plan: Plan, run: PlannedRun, vote: Seconds, ranks: int) -> Seconds:
    """Return the seconds of combining the messages, as measured, and of their way, by the model."""
    name = "server" if plan.experiment.exchange == "auto" else plan.experiment.exchange
    form = exchanges(run, plan.problem.dimension)[0].form
    low, high = (communication(net, name, ranks, 8.0 * form.up, 8.0 * form.down) for net in (_FAST, _SLOW))
    # by "sharded" every rank combines its slice, the others have one root for all
    share = min(slices(form.up, ranks)[0] / form.up, 1.0) if name == "sharded" else 1.0
    return vote.times(share).plus(Seconds(low, high))


def _evaluated(plan: Plan, blocks: int, part: float, threads: int) -> Seconds:
    """Return the seconds of the blocks of records, each of all ranks' threads with its share of the parts.

    The last block may be as long as the first.
    """
    seconds = blocks * part * -(-plan.problem.segments // threads)
    return Seconds(seconds, seconds)
