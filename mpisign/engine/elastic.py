"""Go on after ranks are lost: with those that are left, from the last checkpoint."""

from collections.abc import Sequence
from pathlib import Path

from mpisign.aggregation.exchange import hosted_by
from mpisign.comm.communicator import Communicator
from mpisign.config.validation import InputError
from mpisign.engine import runner
from mpisign.engine.planning import Plan, PlannedRun
from mpisign.engine.runner import Mode
from mpisign.messages import say


def refuse_where_impossible(ranks: Communicator, exchange: str) -> None:
    """Raise InputError, with the reason, where the loss of a rank cannot be survived."""
    reason = ranks.cannot_survive()
    if not reason and exchange not in ("server", "sharded"):
        reason = f"it goes with the exchanges server and sharded, which share no memory; the job has {exchange}"
    if reason:
        raise InputError("--on-failure", f"cannot continue: {reason}")


def run(planned: Plan, ranks: Communicator, output: Path, repeats: range, mode: Mode) -> dict[str, list[int]]:
    """Call `mpisign.engine.runner.run` again and again until no rank is lost; every rank calls it.

    The first of those that are left becomes the server, and writes the file.

    Returns:
        The k at which repeats diverged, for each label; on the root.

    Raises:
        SystemExit: a run has no worker left; status 1, once the root has said it.
    """
    before = None if mode == "resume" else _identity(output)  # on every rank: the root may be the one that is lost
    while True:
        try:
            return runner.run(planned, ranks, output, repeats, mode, watched=False)
        except Exception as error:
            if not ranks.lost(error):
                raise
            size = ranks.size
            ranks, were = ranks.survivors()
            if ranks.size == size:
                raise
            lost = [rank for rank in range(size) if rank not in were]
            planned = _without_lost(planned, size, lost)
            # Without a commit the file is still the one that the job found: what it holds is not this job's to resume.
            written = ranks.broadcast_bool(_identity(output) not in (None, before))
            mode = "resume" if written else "overwrite" if mode == "resume" else mode
            if ranks.root:
                _say(lost, size, planned, written)
            if not all(run.numbers for run in planned.runs):
                raise SystemExit(1) from error


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the inode and the time (ns) of the file at `path`, None if there is none.

    A commit puts another file in its place, so that the pair changes.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _say(lost: list[int], size: int, planned: Plan, resume: bool) -> None:
    """Print which ranks are lost, and what becomes of the others."""
    ranks, are = ("rank", "is") if len(lost) == 1 else ("ranks", "are")
    ended = [run.settings.label for run in planned.runs if not run.numbers]
    if ended:
        again = "--resume goes on from the last checkpoint" if resume else "the same command starts again"
        then = f"no worker of {ended[0]!r} is left; ending; {again}"
    else:
        others = "the other goes" if size - len(lost) == 1 else f"the other {size - len(lost)} go"
        then = f"{others} on from the {'last checkpoint' if resume else 'start'}"
    named = ", ".join(str(rank) for rank in lost)
    say(f"{ranks} {named} of {size} {are} lost; {then}")


def _without_lost(planned: Plan, size: int, lost: Sequence[int]) -> Plan:
    """Return the plan without those of `size` ranks that are lost; a run may have no worker left."""
    return planned._replace(runs=[_without(run, lost, size) for run in planned.runs])


def _without(run: PlannedRun, lost: Sequence[int], size: int) -> PlannedRun:
    """Return the run without the workers that the lost ranks hosted."""
    places = {place for rank in lost for place in hosted_by(rank, size, len(run.numbers))}
    return run._replace(numbers=tuple(worker for place, worker in enumerate(run.numbers) if place not in places))
