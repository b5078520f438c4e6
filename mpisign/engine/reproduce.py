"""Run a trajectory file again from what it says of itself, and compare hash by hash."""

from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mpisign.comm.communicator import Communicator
from mpisign.config.experiment import Experiment
from mpisign.config.validation import InputError
from mpisign.engine import planning, resuming, runner
from mpisign.engine.embedded_experiment import carried, inside
from mpisign.storage.trajectory import COLUMNS, RepeatRecord, Trajectory

_CHANGES_NO_BIT = {"date", "command", "folder", "hosts", "ranks", "git", "mpi", "mpi_threads", "modules", "job", "file"}
"""Keys of the provenance that change no bit of a result; a change of another one may be why a result differs."""


_RECORDS_BY = ("processor", "blas", "unlike_ranks")
"""Keys of the provenance on which the last digits of recorded values depend."""


class Comparison(NamedTuple):
    """What has become of the repeats that had ended.

    Attributes:
        same: of how many of them the last x is the same.
        of: how many they are.
        other_values: of how many with the same last x the recorded values differ.
        remarks: what there is to say of both.
    """

    same: int
    of: int
    other_values: int
    remarks: list[str]


def rerun(file: Path, output: Path, ranks: Communicator) -> Comparison:
    """Run the experiment of `file` again, to `output`, and compare; every rank calls it, and the root's result counts.

    Raises:
        InputError: `file` is no trajectory file, or its data are gone or others.
    """
    was = ranks.raise_collectively(lambda: _ended(file))
    experiment = ranks.raise_collectively(lambda: carried(was))
    plan, repeats = resuming.planned(file, experiment, None, ranks, partial(_planned, was))
    runner.run(plan, ranks, output, repeats, "create")
    return compare(was, Trajectory(output)) if ranks.root else Comparison(0, 0, 0, [])


def _ended(file: Path) -> Trajectory:
    """Return the trajectory of the file; raise InputError if no repeat of it has ended."""
    was = Trajectory(file)
    if all(repeat.status == "running" for run in was for repeat in run.repeats):
        raise InputError(str(file), "no repeat of it has ended: there is nothing to compare")
    return was


def _planned(was: Trajectory, experiment: Experiment, ranks: Communicator) -> planning.Plan:
    """Return the plan of the experiment.

    Raises:
        InputError: it cannot be run; the message names the folder that a relative path was seen from.
    """
    try:
        return planning.plan(experiment, ranks)
    except InputError as error:
        folder = was.provenance.get("folder", "a folder that is not recorded")
        raise inside(was, InputError("", f"{error}; it was run in {folder}")) from None


def compare(was: Trajectory, now: Trajectory) -> Comparison:
    """Compare every repeat that had ended by the sha256 of its last x."""
    pairs = [
        (run.label, repeat, {other.number: other for other in again.repeats}[repeat.number])
        for run, again in zip(was, now, strict=True)
        for repeat in run.repeats
        if repeat.status != "running"
    ]
    apart = [pair for pair in pairs if pair[1].sha256 != pair[2].sha256]
    remarks = [f"{label!r}, repeat {repeat.number}: {_where(repeat, again)}" for label, repeat, again in apart]
    values = [
        f"{label!r}, repeat {repeat.number}: x is the same, {found}"
        for label, repeat, again in pairs
        if repeat.sha256 == again.sha256 and (found := _other_values(repeat, again))
    ]
    why = [] if not values else [_explanation(was, now)]
    versions = list(_versions(was, now)) if apart or values else []
    return Comparison(len(pairs) - len(apart), len(pairs), len(values), [*remarks, *values, *why, *versions])


def _other_values(repeat: RepeatRecord, again: RepeatRecord) -> str:
    """Return which recorded column differs first, where, and by how much; "" where none does. Seconds are no result."""
    found = []
    for name in (name for name in COLUMNS if name != "seconds"):
        one, other = repeat.columns[name], again.columns[name]
        if one.shape != other.shape:
            return f"but {name} has {len(one)} records, and now {len(other)}"
        # NaN differs from itself: both being NaN counts as equal.
        apart = np.flatnonzero(~((one == other) | ((one != one) & (other != other))))
        if len(apart):
            first = apart[0]
            found.append((int(repeat.columns["k"][first]), name, one[first], other[first]))
    if not found:
        return ""
    k, name, old, new = min(found, key=lambda each: each[0])
    size = abs(float(new) - float(old)) / max(abs(float(old)), np.finfo(float).tiny)
    return f"but {name} differs first, at k = {k}: {old!s} was recorded, now {new!s}, relatively {size:.1e}"


def _explanation(was: Trajectory, now: Trajectory) -> str:
    """Return whether the processors and BLAS kernels can explain that recorded values differ."""
    origins = (was.provenance, *was.resumed, *was.merged)
    same = all(origin.get(name) == now.provenance.get(name) for origin in origins for name in _RECORDS_BY)
    if same:
        return "the processors and BLAS kernels are the same: they do not explain it"
    return "recorded values are computed by BLAS, and its kernels or the processors are others: that can explain it"


def _where(repeat: RepeatRecord, again: RepeatRecord) -> str:
    """Return from which k on a repeat differs from what it was."""
    if repeat.workers_from:
        return f"differs; workers were lost at k = {', '.join(str(k) for k, _ in repeat.workers_from)}"
    value, other = repeat.columns["value"], again.columns["value"]
    common = min(len(value), len(other))
    differing = np.flatnonzero(value[:common] != other[:common])
    if not len(differing):
        return "differs after the last recorded value that both have"
    return f"differs, in the recorded values from k = {repeat.columns['k'][differing[0]]} on"


def _versions(was: Trajectory, now: Trajectory) -> Iterator[str]:
    """Yield what else is other than it was, in any of the jobs that the file comes from; each once."""
    origins = (was.provenance, *was.resumed, *was.merged)
    for name, value in dict.fromkeys(chain.from_iterable(origin.items() for origin in origins)):
        if name not in _CHANGES_NO_BIT and now.provenance.get(name) != value:
            yield f"{name} was {value}, and is {now.provenance.get(name, 'not recorded')}"
