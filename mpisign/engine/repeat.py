"""Run one repeat of one run, from its start or from the state in which it was saved, to its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import numpy as np

from mpisign.aggregation.exchange_registry import ExchangeFactory
from mpisign.aggregation.server import Server, plan_server
from mpisign.algorithms.compiled_loop import INTERPRETED, Arrays, ahead_of
from mpisign.algorithms.sliced import sends_gradients, sliced
from mpisign.arrays import Indices
from mpisign.comm.communicator import Communicator
from mpisign.config.threads import threads
from mpisign.engine import loop, state
from mpisign.engine.checkpointing import Checkpoints
from mpisign.engine.crew import Crew, crew_of
from mpisign.engine.planning import MOST_STATE, Plan, PlannedRun, state_bytes
from mpisign.engine.recorder import Recorder
from mpisign.engine.records.clocks import OFF, Clocks, NoClocks
from mpisign.engine.records.goal import Goal
from mpisign.engine.records.recording import Sink
from mpisign.engine.records.rough_evaluation import evaluation_of
from mpisign.engine.records.schedule import block_of, schedule_of
from mpisign.rng import RandomStreams
from mpisign.storage.checkpoint import Checkpoint, End


class RepeatSink(Sink, Protocol):
    """Where all of a repeat goes: its group in a trajectory file, or what sends it to the process with the file."""

    def shrunk(self, k: int, workers: int) -> None:
        """Note that so many workers are left from iteration k on."""

    def finish(self, end: End) -> None:
        """Mark the repeat as complete, or diverged."""


class Writer(Protocol):
    """A trajectory file, or what stands for it where another process has it."""

    def kept(self, label: str, number: int) -> Checkpoint | None:
        """Return the state in which that repeat was saved, or None."""

    def repeat(self, label: str, number: int, ks: Indices, dimension: int, iterates: bool) -> RepeatSink:
        """Return where a repeat goes, which begins, or goes on from its state."""


class Site(NamedTuple):
    """Where repeats are run.

    Attributes:
        ranks: the ranks.
        checkpoints: where the ranks pause.
        writer: the trajectory file's writer; None except on the root.
    """

    ranks: Communicator
    checkpoints: Checkpoints
    writer: Writer | None


def run_repeat(planned: Plan, run: PlannedRun, number: int, exchange_factory: ExchangeFactory, site: Site) -> None:
    """Run the repeat with this number; every rank calls it, and the root alone writes.

    Raises:
        StopRequested: a signal asked for a stop, and the state was saved.
    """
    label, dimension = run.settings.label, planned.problem.dimension
    kept = site.writer.kept(label, number) if site.writer else None
    crew = crew_of(run, kept, planned.experiment.seed, number, site.ranks)
    sink = _sink(planned, run, number, crew, kept, site)
    planned_server = plan_server(run.method, len(crew.numbers), dimension, exchange_factory, crew.streams, run.real)
    with planned_server as server, _saying_where(label, number, server):
        repeat, begin = _wired(planned, run, number, crew, kept, sink, server, site)
        diverged_at = loop.iterate(repeat, begin)
        goes_on = diverged_at is None and state_bytes(run, dimension) <= MOST_STATE
        last = repeat.recorder.last(begin._replace(k=repeat.iterations)) if goes_on else None
        if sink is not None:
            x = begin.x.astype(np.float64, copy=False)
            sink.finish(End(x, diverged_at, repeat.ahead.done, last, repeat.recorder.ended))


def _sink(
    planned: Plan, run: PlannedRun, number: int, crew: Crew, kept: Checkpoint | None, site: Site
) -> RepeatSink | None:
    """Return where the root writes the records of a repeat; None elsewhere."""
    if site.writer is None:
        return None
    log, ks = planned.experiment.log, schedule_of(planned.experiment.log, run.settings)
    sink = site.writer.repeat(run.settings.label, number, ks, planned.problem.dimension, log.iterates)
    if len(crew.numbers) < run.workers:
        sink.shrunk(kept.k if kept else 0, len(crew.numbers))
    return sink


def _wired(
    planned: Plan,
    run: PlannedRun,
    number: int,
    crew: Crew,
    kept: Checkpoint | None,
    sink: RepeatSink | None,
    server: Server,
    site: Site,
) -> tuple[loop.Repeat, state.State]:
    """Return all that the loop needs, and the state in which it begins: the first one, or the one that was kept."""
    # The start has its own streams, numbered by all workers: it is the same however many of them are left.
    x = planned.start.point(planned.problem.dimension, RandomStreams(planned.experiment.seed, number)).astype(run.real)
    begin, counters = state.restore(kept, state.at_start(run.method, x, server, crew.numbers), server, site.ranks)
    recorder, clocks = _recorder(planned, run, kept, sink, server, site)
    recorder.resume(counters, kept, site.ranks)
    server.resume(begin.k, counters.bits_up, counters.bits_down)
    begin = begin._replace(x=state.place_iterate(run.method, begin.x, server))
    arrays = Arrays(begin.x, begin.memory, begin.shared)
    ahead = ahead_of(run.method, crew.source, run.step, server, crew.streams, arrays)
    repeat = loop.Repeat(
        run.method,
        crew.source,
        run.step,
        run.settings.iterations,
        server,
        crew.streams,
        recorder,
        site.checkpoints,
        ahead,
    )
    return _clocked(_packed_as_made(repeat, run, crew, planned.problem.dimension, site.ranks), clocks), begin


def _packed_as_made(
    repeat: loop.Repeat, run: PlannedRun, crew: Crew, dimension: int, ranks: Communicator
) -> loop.Repeat:
    """Return the repeat with signs that are packed as gradients are made, where d is large and that can be done."""
    large = sends_gradients(run.method, dimension)
    slices = run.oracle.plan_slices(run.problem, run.workers) if large else None
    if slices is None:
        return repeat
    count = 1 if run.oracle.slices_in_order else threads(ranks)
    method, source = sliced(run.method, crew.by_place(slices), repeat.server, run.real, count)
    # Compiled iterations make gradients as a whole; at such a d they take as long as interpreted ones.
    return repeat._replace(method=method, source=source, ahead=INTERPRETED)


def _recorder(
    planned: Plan,
    run: PlannedRun,
    kept: Checkpoint | None,
    sink: RepeatSink | None,
    server: Server,
    site: Site,
) -> tuple[Recorder, NoClocks]:
    """Return the recorder of a repeat, and its clocks, which go on from those of its state."""
    log, stop, ranks = planned.experiment.log, run.settings.stop, site.ranks
    goal = None if stop is None else Goal(stop, planned.minimum, ranks)
    evaluation = evaluation_of(planned.problem, ranks, block_of(log, stop), planned.minimum)
    clocks: NoClocks = OFF
    earlier = None if kept is None else kept.clocks
    if log.clocks:
        clocks = Clocks(ranks, len(server.hosted) > 0, len(evaluation.points), earlier)
    ks = schedule_of(log, run.settings)
    # With a rule each record is evaluated at once, as the repeat may end there.
    asked = site.checkpoints.asked if planned.problem.large_parts and goal is None else _unasked
    return Recorder(evaluation, server, ks, sink, log.iterates, goal, clocks, asked), clocks


def _unasked() -> int:
    """Return 0: f is evaluated to the end, which does not take long."""
    return 0


def _clocked(repeat: loop.Repeat, clocks: NoClocks) -> loop.Repeat:
    """Return the repeat with parts that are clocked, where clocks are on."""
    if not isinstance(clocks, Clocks):
        return repeat
    method, source, server = clocks.timed(repeat.method, repeat.source, repeat.server)
    # A stretch of compiled iterations cannot be split.
    return repeat._replace(method=method, source=source, server=server, ahead=INTERPRETED)


@contextmanager
def _saying_where(label: str, number: int, server: Server) -> Iterator[None]:
    """Add to what is raised inside a note on where it happened."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        error.add_note(f"in {label!r}, repeat {number}, iteration k = {server.k}")
        raise
