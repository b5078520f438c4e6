"""A trajectory file, run again from what it says of itself, and compared hash by hash."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mpisign import planning, resuming, runner
from mpisign.carried import carried, inside
from mpisign.experiment import Experiment
from mpisign.ranks import Ranks
from mpisign.settings import BadInput
from mpisign.trajectory import RepeatRecord, Trajectory

_CHANGES_NO_BIT = {"date", "command", "folder", "hosts", "ranks", "git", "mpi", "mpi_threads", "modules", "job", "file"}
"""Of the provenance; another of the rest may be why a result differs."""


class Comparison(NamedTuple):
    """Of how many repeats that had ended the last x is the same; and what there is to say of the others."""

    same: int
    of: int
    remarks: list[str]


def rerun(file: Path, output: Path, ranks: Ranks) -> Comparison:
    """Run the experiment of `file` again, to `output`, and compare; every rank calls it, and the root's result counts.

    Raises BadInput where `file` is no trajectory file, or its data are gone or others.
    """
    was = ranks.together(lambda: _ended(file))
    experiment = ranks.together(lambda: carried(was))
    experiment, repeats, earlier = resuming.take_up(file, experiment, None, ranks)
    plan = ranks.together(lambda: _planned(was, experiment, ranks))
    ranks.together(lambda: resuming.refuse_other_data(file, earlier, plan))
    runner.run(plan, ranks, output, repeats, new=True)
    return compare(was, Trajectory(output)) if ranks.root else Comparison(0, 0, [])


def _ended(file: Path) -> Trajectory:
    was = Trajectory(file)
    if all(repeat.status == "running" for run in was for repeat in run.repeats):
        raise BadInput(str(file), "no repeat of it has ended: there is nothing to compare")
    return was


def _planned(was: Trajectory, experiment: Experiment, ranks: Ranks) -> planning.Plan:
    """Raises BadInput, with the folder that a relative path was seen from."""
    try:
        return planning.plan(experiment, ranks)
    except BadInput as error:
        folder = was.provenance.get("folder", "a folder that is not recorded")
        raise inside(was, BadInput("", f"{error}; it was run in {folder}")) from None


def compare(was: Trajectory, now: Trajectory) -> Comparison:
    """Every repeat that had ended, by the sha256 of its last x."""
    pairs = [
        (run.label, repeat, {other.number: other for other in again.repeats}[repeat.number])
        for run, again in zip(was, now, strict=True)
        for repeat in run.repeats
        if repeat.status != "running"
    ]
    apart = [pair for pair in pairs if pair[1].sha256 != pair[2].sha256]
    remarks = [f"{label!r}, repeat {repeat.number}: {_where(repeat, again)}" for label, repeat, again in apart]
    return Comparison(len(pairs) - len(apart), len(pairs), [*remarks, *(_versions(was, now) if apart else ())])


def _where(repeat: RepeatRecord, again: RepeatRecord) -> str:
    if repeat.workers_from:
        return f"differs; workers were lost at k = {', '.join(str(k) for k, _ in repeat.workers_from)}"
    value, other = repeat.columns["value"], again.columns["value"]
    common = min(len(value), len(other))
    differing = np.flatnonzero(value[:common] != other[:common])
    if not len(differing):
        return "differs after the last recorded value that both have"
    return f"differs, in the recorded values from k = {repeat.columns['k'][differing[0]]} on"


def _versions(was: Trajectory, now: Trajectory) -> Iterator[str]:
    """What else is other than it was, in any of the jobs that it comes from; each once."""
    origins = (was.provenance, *was.resumed, *was.merged)
    for name, value in dict.fromkeys(chain.from_iterable(origin.items() for origin in origins)):
        if name not in _CHANGES_NO_BIT and now.provenance.get(name) != value:
            yield f"{name} was {value}, and is {now.provenance.get(name, 'not recorded')}"
