"""Run one repeat of one run, from its start or from the state in which it was saved, to its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from mpisign.aggregation.exchange_registry import ExchangeFactory
from mpisign.aggregation.server import Server, plan_server
from mpisign.comm.communicator import Communicator
from mpisign.engine import loop, state, worker_loss
from mpisign.engine.checkpointing import Checkpoints
from mpisign.engine.planning import Plan, PlannedRun
from mpisign.engine.recorder import Evaluation, Recorder, schedule
from mpisign.rng import RandomStreams
from mpisign.storage.writer import TrajectoryWriter


class Site(NamedTuple):
    """Where repeats are run.

    Attributes:
        ranks: the ranks.
        checkpoints: where the ranks pause.
        writer: the trajectory file's writer; None except on the root.
    """

    ranks: Communicator
    checkpoints: Checkpoints
    writer: TrajectoryWriter | None


def run_repeat(planned: Plan, run: PlannedRun, number: int, exchange_factory: ExchangeFactory, site: Site) -> None:
    """Run the repeat with this number; every rank calls it, and the root alone writes.

    Raises:
        StopRequested: a signal asked for a stop, and the state was saved.
    """
    problem, log, label = planned.problem, planned.experiment.log, run.settings.label
    kept = site.writer.kept(label, number) if site.writer else None
    run = worker_loss.agreed(run, kept, site.ranks)
    streams, ks = worker_loss.streams(run, planned.experiment.seed, number), schedule(log, run.settings.iterations)
    sink = site.writer.repeat(label, number, ks, problem.dimension, log.iterates) if site.writer else None
    if sink is not None and len(run.left) < run.workers:
        sink.shrunk(kept.k if kept else 0, len(run.left))
    planned_server = plan_server(run.method, len(run.left), problem.dimension, exchange_factory, streams)
    with planned_server as server, _saying_where(label, number, server):
        # The start has its own streams, numbered by all workers: it is the same however many of them are left.
        x = planned.start.point(problem.dimension, RandomStreams(planned.experiment.seed, number))
        start = state.at_start(run.method, x, server, run.left)
        begin, counters = state.restore(kept, start, server, site.ranks)
        recorder = Recorder(Evaluation(problem, site.ranks, len(ks)), server, ks, sink, log.iterates)
        recorder.resume(counters)
        server.resume(begin.k, counters.bits_up, counters.bits_down)
        begin = begin._replace(x=state.place_iterate(run.method, begin.x, server))
        source, iterations = worker_loss.source(run), run.settings.iterations
        repeat = loop.Repeat(run.method, source, run.step, iterations, server, streams, recorder, site.checkpoints)
        diverged_at = loop.iterate(repeat, begin)
        if sink is not None:
            sink.finish(begin.x, diverged_at)


@contextmanager
def _saying_where(label: str, number: int, server: Server) -> Iterator[None]:
    """Add to what is raised inside a note on where it happened."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        error.add_note(f"in {label!r}, repeat {number}, iteration k = {server.k}")
        raise
