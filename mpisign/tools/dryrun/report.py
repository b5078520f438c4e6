"""Print the dry run's report: a table of the runs, memory, file, time, and the commands."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from mpisign.comm import shared_arrays
from mpisign.comm.communicator import Communicator
from mpisign.comm.launcher import cores
from mpisign.config.validation import InputError
from mpisign.engine.planning import Plan, remarks
from mpisign.problems import PROBLEMS
from mpisign.problems.reference_solution import is_known
from mpisign.rng import RandomStreams
from mpisign.storage.summary import aligned
from mpisign.tools.dryrun import commands, memory
from mpisign.tools.dryrun.bits import bits
from mpisign.tools.dryrun.duration import NETWORKS, Duration, duration
from mpisign.tools.dryrun.file_size import size, state
from mpisign.tools.dryrun.gradient import check_gradient
from mpisign.tools.dryrun.trial import Seconds

_Row = tuple[str, ...]


class DryRunRequest(NamedTuple):
    """What a dry run is of.

    Attributes:
        plan: The plan.
        repeats: The numbers of its repeats.
        options: The options of the command by name.
    """

    plan: Plan
    repeats: range
    options: dict[str, Any]

    @property
    def ranks(self) -> int:
        """Return M + 1 for the largest M."""
        return 1 + max(run.workers for run in self.plan.runs)

    @property
    def teams(self) -> int:
        """Return how many teams of ranks run repeats side by side."""
        return int(self.options.get("teams", 1))

    @property
    def jobs(self) -> int:
        """Return how many processes run repeats side by side."""
        return min(int(self.options.get("jobs", 1)), len(self.repeats) * len(self.plan.runs))


def show(asked: DryRunRequest, ranks: Communicator) -> None:
    """Print the report on the root, without solving for f*; collective.

    The plan has its data in memory, in that which a node's ranks share, as a run does: a dry run needs room for them.

    Raises:
        InputError: If there is no room for a forecast.
    """
    _check_problem(asked.plan, ranks)
    base = memory.base(asked.plan.problem, ranks.size == 1)
    try:
        times = [duration(asked.plan, run, ranks, asked.ranks) for run in asked.plan.runs]
        if ranks.root:
            print("\n".join(_report(asked, ranks, base, times)))
    except MemoryError as error:
        if ranks.size > 1:  # the others wait for this one: all are ended
            raise
        raise InputError("--dry-run", f"a machine with more memory is needed to forecast this job: {error}") from None


def _check_problem(plan: Plan, ranks: Communicator) -> None:
    """Check the gradient of a problem that is not built in; collective.

    Raises:
        InputError: On every rank, if it is not the gradient of the problem's value.
    """

    def check() -> None:
        if ranks.root and PROBLEMS.built_in(str(plan.experiment.problem["kind"])) is None:
            x0 = plan.start.point(plan.problem.dimension, RandomStreams(plan.experiment.seed, 0))
            check_gradient(plan.problem, x0)

    ranks.raise_collectively(check)


def _report(asked: DryRunRequest, ranks: Communicator, base: memory.Base, times: list[Duration]) -> Iterator[str]:
    """Yield the lines of the report."""
    plan, problem = asked.plan, asked.plan.problem
    yield f"dry run of {asked.options['job']}: nothing is run to its end or written; memory, size, time are estimates"
    yield f"problem: {plan.experiment.problem['kind']}, d = {problem.dimension}, n = {problem.samples or 'none'}"
    yield f"data: {amount(base.data)}, once a node"
    file, kept = amount(size(plan, len(asked.repeats))), amount(state(plan))
    disk = f"while it runs the disk needs three times that, and {kept} for the state of a repeat"
    yield f"{asked.options['output']}: {file}; {disk}"
    yield from ("", *aligned(_runs(asked, ranks, times)), "", *_notes(plan, ranks.size))
    rows, node = _memory(asked, ranks, base)
    yield from ("", *aligned(rows), *_shared(asked, base), *_too_large(asked, base), "")
    here = _total([time.here for time in times], len(asked.repeats))
    there = _total([time.ranks or time.here for time in times], len(asked.repeats))
    yield from _time(asked, ranks, here, there)
    tasks = asked.ranks * asked.teams
    yield from ("", *commands.lines(asked.options, tasks, there.high / asked.teams, node * asked.teams))


def _runs(asked: DryRunRequest, ranks: Communicator, times: list[Duration]) -> Iterator[_Row]:
    """Yield the rows of the table of runs."""
    head = (
        "run",
        "method",
        "M",
        "K",
        "repeats",
        "bits up",
        "bits down",
        "exchange",
        f"seconds a repeat, {_who(ranks)}",
    )
    modelled = times[0].ranks is not None
    yield (*head, f"{asked.ranks} ranks") if modelled else head
    for run, time in zip(asked.plan.runs, times, strict=True):
        found = bits(run, asked.plan.problem.dimension)
        counts = (run.workers, run.settings.iterations, len(asked.repeats), found.up, found.down)
        row = (run.settings.label, str(run.settings.method["method"]), *map(str, counts), time.exchange)
        yield (*row, _between(time.here), *([_between(time.ranks)] if time.ranks else []))


def _notes(plan: Plan, ranks: int) -> Iterator[str]:
    """Yield notes below the table of runs."""
    yield "bits: of an iteration, from all M workers together and to all of them, as the file will count them"
    found = [bits(run, plan.problem.dimension) for run in plan.runs]
    ternary = [found_ for found_ in found if found_.most_up > found_.up]
    if ternary:
        up, down = (max(column) for column in list(zip(*ternary, strict=True))[2:])
        second = f"a second plane travels: up to {up} bits up and {down} down"
        yield f"of signs, where gradients have zeros or votes tie, {second}"
    if any(run.settings.workers is None for run in plan.runs):
        yield "a run without workers has as many as there are ranks besides rank 0"
    yield from remarks(plan, ranks)


def _memory(asked: DryRunRequest, ranks: Communicator, base: memory.Base) -> tuple[list[_Row], int]:
    """Return the table of memory, and the bytes of a node with all M + 1 ranks."""
    rows: list[_Row] = [("memory", "libraries", "vectors", "messages", "records", "state", "or for f*", "together")]
    if ranks.size == 1:
        alone = memory.held(asked.plan, 0, 1, base)
        rows.append(_held("one process, with data", alone, alone.private + base.data + base.mapped))
        if asked.jobs > 1:  # and one more, which writes the file and solves for f*
            every = (asked.jobs + 1) * alone.private + base.data + base.mapped
            rows.append((f"--jobs {asked.jobs}, with data", *6 * ("",), amount(every)))
    for count in sorted({ranks.size, asked.ranks} - {1}):
        server, worker = (memory.held(asked.plan, rank, count, base) for rank in (0, 1))
        node = server.private + (count - 1) * worker.private + server.common + base.data + base.mapped
        rows.append(_held(f"rank 0 of {count}", server, server.private))
        rows.append(_held("each other rank", worker, worker.private))
        rows.append((f"all {count} on a node, with data", *6 * ("",), amount(node)))
    return rows, node


def _shared(asked: DryRunRequest, base: memory.Base) -> Iterator[str]:
    """Yield a line where a node's ranks would share more than this node has room for."""
    free, common = shared_arrays.room(), memory.held(asked.plan, 1, asked.ranks, base).common
    if free is not None and base.data + common + shared_arrays.MARGIN > free:
        wanted = amount(base.data + common)
        need = f"{shared_arrays.SHARED}: {amount(free)} are free, and ranks of one node would share {wanted}"
        yield f"{need}: data are then kept once a rank, and exchange node is refused; {shared_arrays.TO_DO}"


def _too_large(asked: DryRunRequest, base: memory.Base) -> Iterator[str]:
    """Yield a line where rank 0 would hold more than this machine has, and what it would by the exchange that cuts."""
    here, plan, installed = asked.ranks, asked.plan, shared_arrays.installed()
    whole = memory.held(plan, 0, here, base).private
    if whole > installed:
        cut = plan._replace(experiment=replace(plan.experiment, exchange="sharded"))
        less = amount(memory.held(cut, 0, here, base).private)
        larger = f"rank 0 of {here} holds {amount(whole)}, more than the {amount(installed)} of this machine"
        yield f"{larger}; by --exchange sharded it holds {less}"


def _held(who: str, held: memory.MemoryEstimate, together: int) -> _Row:
    """Return a row of the table of memory."""
    parts = (held.libraries, held.vectors, held.messages, held.records, held.state, held.minimum, together)
    return (who, *map(amount, parts))


def _total(times: list[Seconds], repeats: int) -> Seconds:
    """Return the seconds of all runs, for so many repeats."""
    return Seconds(sum(time.low for time in times), sum(time.high for time in times)).times(repeats)


def _time(asked: DryRunRequest, ranks: Communicator, here: Seconds, there: Seconds) -> Iterator[str]:
    """Yield the lines on time, here and on M + 1 ranks."""
    yield f"time, {_who(ranks)}: {_between(here)} s, from a few iterations of each run, executed here and thrown away,"
    yield "  and from the evaluation of a part of f; the range is that of their times"
    if asked.jobs > 1:
        share = here.times(1 / min(asked.jobs, cores()))
        yield f"time, --jobs {asked.jobs}: {_between(share)} s, that divided by as many of them as have a core"
    if ranks.size == 1:
        yield f"time, {asked.ranks} ranks: {_between(there)} s, the same with messages by the model of `mpisign bench`:"
        yield f"  {NETWORKS}"
    if asked.teams > 1:
        yield f"time, --teams {asked.teams}: that divided by {asked.teams}, where each of their ranks has a core"
    if max(asked.ranks, ranks.size) > cores():
        yield f"this process may use {cores()} cores: more ranks than that take longer here, in turns"
    yield f"not in it: the start, reading data, and f*, {_minimum(asked.plan)}"


def _minimum(plan: Plan) -> str:
    """Return what to say of the time to find f*."""
    if is_known(plan.problem):
        return "which need not be solved for"
    return "which is solved for first: seconds with small data, minutes with large; then it is kept"


def _who(ranks: Communicator) -> str:
    """Name the ranks at hand."""
    return "one process" if ranks.size == 1 else f"these {ranks.size} ranks"


def _between(seconds: Seconds) -> str:
    """Return a range of seconds as text."""
    low, high = (f"{value:.2g}" if value < 99.5 else f"{value:.0f}" for value in seconds)
    return low if low == high else f"{low} to {high}"


def amount(size: float) -> str:
    """Return bytes as text, in two or three digits."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
