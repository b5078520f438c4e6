"""Run an experiment: each run's repeats go through the loop, from where they are."""

import json
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from threadpoolctl import threadpool_limits

from mpisign.aggregation.autotune import Choice, choose
from mpisign.aggregation.exchange_registry import exchange_factory
from mpisign.aggregation.server import plan_server
from mpisign.comm.communicator import Communicator
from mpisign.comm.teams import Team
from mpisign.comm.watchdog import Watch
from mpisign.config import threads
from mpisign.config.validation import one_line
from mpisign.engine.checkpointing import Checkpoints
from mpisign.engine.parallel import processes, teams
from mpisign.engine.parallel.desk import Desk
from mpisign.engine.parallel.pool import Pool
from mpisign.engine.planning import Plan, PlannedRun, data_sha256, remarks, run_attributes, with_minimum
from mpisign.engine.records.schedule import schedule_of
from mpisign.engine.repeat import Site, run_repeat
from mpisign.messages import say
from mpisign.problems.reference_solution import CertifiedOptimum, optimum
from mpisign.progress import Progress
from mpisign.rng import RandomStreams
from mpisign.stop_signals import PLANNING, StopSignals
from mpisign.storage.memory import MemoryWriter
from mpisign.storage.output_file import lock_output
from mpisign.storage.provenance import Sites, provenance, sites, warnings
from mpisign.storage.writer import TrajectoryWriter

Mode: TypeAlias = Literal["create", "overwrite", "resume"]
"""What becomes of a file that is there."""


def run(
    planned: Plan,
    ranks: Communicator,
    output: Path | BytesIO,
    repeats: range,
    mode: Mode = "overwrite",
    *,
    watched: bool = True,
    quiet: bool = False,
    pool: Pool | None = None,
    team: Team | None = None,
) -> dict[str, list[int]]:
    """Run what is not there yet, and write the trajectory file at `output`, on rank 0. Every rank calls it.

    Args:
        planned: what to run.
        ranks: who runs it.
        output: the file's path, or a buffer in memory that becomes what the file would be.
        repeats: the numbers of the repeats.
        mode: "create": no file was there when the command began. "overwrite": a new one takes its place. "resume": go
            on with the file, which was made by the same experiment.
        watched: whether the other ranks are ended when one is lost.
        quiet: whether progress is not shown.
        pool: processes of this machine that run the repeats, where there is one rank.
        team: this rank's team, where teams of the ranks run repeats side by side.

    Returns:
        At which k repeats diverged, for each label; on rank 0.

    Raises:
        InputError: another job writes the file, or MPISIGN_THREADS is no number.
        StopRequested: a signal asked for a stop.
        ChildProcessError: one of several processes was killed, or has failed.
    """
    # More BLAS threads would add in another order; a run that diverges is recorded, not warned of.
    with threadpool_limits(limits=1), np.errstate(over="ignore", invalid="ignore"), ExitStack() as stack:
        ranks.raise_collectively(threads.asked)  # what cannot be is refused before anything is written
        ranks.raise_collectively(lambda: stack.enter_context(_lock(output, mode)) if ranks.root else None)
        signals, watch = stack.enter_context(StopSignals()), stack.enter_context(Watch(ranks, watched))
        PLANNING.dismiss = watch.dismiss
        where = sites(ranks)
        _warn([*warnings(where), *remarks(planned, (team or ranks).size)], ranks)
        header = _header(planned, ranks, where, repeats) if ranks.root else {}
        known = optimum(planned.problem, ranks, signals, quiet)
        planned = with_minimum(planned, known, ranks)
        PLANNING.over()  # from here on there is a file to write
        progress = stack.enter_context(Progress(_total(planned, repeats), quiet=quiet or not ranks.root))
        writer = stack.enter_context(_writer(output, header, mode)) if ranks.root else None

        def count(k: int) -> None:
            """Show the progress, and tell the watchdog where this rank is."""
            progress.count(k)
            watch.at(k)

        due = writer.commit_due if writer is not None else lambda: False
        pauses = Checkpoints(ranks, signals, count, due, lambda: 0.0 if writer is None else writer.longest_save)
        site = Site(ranks, stack.enter_context(pauses), writer)
        exchanges = [_choice(planned, run, team or ranks, ranks.root).exchange for run in planned.runs]
        if writer is not None and known is not None:
            _describe(planned, known, exchanges, writer)
        desk = None if writer is None else Desk(planned, repeats, writer, progress)
        if team is not None:
            teams.run_repeats(planned, exchanges, repeats, desk, team, signals, watch)
        elif desk is not None and pool is not None and pool.helpers and len(desk.left) > 1:
            processes.run_repeats(planned, exchanges, desk, signals, pool, ranks.lent)
        else:
            _run_repeats(planned, exchanges, repeats, site, writer, progress, watch)
        return {} if writer is None else _diverged(planned, repeats, writer)


def _run_repeats(
    planned: Plan,
    exchanges: list[str],
    repeats: range,
    site: Site,
    writer: TrajectoryWriter | None,
    progress: Progress,
    watch: Watch,
) -> None:
    """Run the repeats that the file lacks, run by run, each by its exchange."""
    before, ranks = 0, site.ranks
    for (run, exchange), number in product(zip(planned.runs, exchanges, strict=True), repeats):
        label = run.settings.label
        progress.at(f"{label}, repeat {number}", before)
        watch.enter(f"in {label!r}, repeat {number}")
        # The root alone knows the file; all ranks have to skip the same repeats.
        if not ranks.broadcast_bool(writer is not None and writer.finished(label, number)):
            run_repeat(planned, run, number, exchange_factory(exchange, ranks), site)
        before += run.settings.iterations


def _lock(output: Path | BytesIO, mode: Mode) -> AbstractContextManager[object]:
    """Return a context in which no other job writes the file; nobody else knows a buffer."""
    return nullcontext() if isinstance(output, BytesIO) else lock_output(output, mode == "create")


def _writer(output: Path | BytesIO, header: dict[str, Any], mode: Mode) -> TrajectoryWriter:
    """Return the writer of the file, or of the buffer."""
    if isinstance(output, BytesIO):
        return MemoryWriter(output, header)
    return TrajectoryWriter(output, header, mode == "resume")


def _warn(said: Iterable[str], ranks: Communicator) -> None:
    """Print once, on the root, what is unusual of the ranks' arithmetic or of the plan."""
    for warning in said if ranks.root else ():
        say(warning)


def _diverged(planned: Plan, repeats: range, writer: TrajectoryWriter) -> dict[str, list[int]]:
    """Return at which k repeats diverged, for each label."""
    return {run.settings.label: writer.diverged(run.settings.label, repeats) for run in planned.runs}


def _total(planned: Plan, repeats: range) -> int:
    """Return how many iterations all runs have together."""
    return sum(run.settings.iterations for run in planned.runs) * len(repeats)


def _describe(planned: Plan, known: CertifiedOptimum, exchanges: list[str], writer: TrajectoryWriter) -> None:
    """Write and commit every run's settings and constants, before the first repeat."""
    for run, exchange in zip(planned.runs, exchanges, strict=True):
        writer.run(run.settings.label, run_attributes(planned, run, known) | {"exchange": exchange})
        writer.lengthen(run.settings.label, schedule_of(planned.experiment.log, run.settings))
    writer.commit()


def _header(planned: Plan, ranks: Communicator, where: Sites, repeats: range) -> dict[str, Any]:
    """Return the attributes of the file; it hashes all data, which the root alone does."""
    experiment, data = planned.experiment, {"data_sha256": data_sha256(planned.problem)}
    return {
        "name": one_line(experiment.name),
        "experiment": experiment.text,
        "overrides": json.dumps(experiment.overrides),
        "repeats": (repeats.start, repeats.stop),
        "provenance": json.dumps(provenance(ranks, where) | data, indent=1),
    }


def _choice(planned: Plan, run: PlannedRun, ranks: Communicator, speaks: bool) -> Choice:
    """Return the run's exchange; where it was chosen, who speaks for all says why."""
    asked = planned.experiment.exchange
    workers, d = len(run.numbers), planned.problem.dimension
    choice = choose(asked, ranks, lambda meet: plan_server(run.method, workers, d, meet, RandomStreams(0, 0), run.real))
    if asked == "auto" and speaks:
        print(f"{run.settings.label}: exchange {choice.exchange}; {choice.why}", flush=True)
    return choice
