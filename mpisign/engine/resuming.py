"""Resume a trajectory file: check that it is of the same experiment, and read its numbers of workers and repeats.

The job now may ask for more iterations and more repeats than the file has: the file then goes on to these.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mpisign.comm.communicator import Communicator
from mpisign.config.experiment import Experiment, Log, Run, difference, with_workers
from mpisign.config.validation import InputError
from mpisign.engine import planning
from mpisign.engine.embedded_experiment import carried, resolved
from mpisign.storage.trajectory import Trajectory


class Earlier(NamedTuple):
    """What an earlier job settled.

    Attributes:
        workers: M of each run.
        repeats: the numbers of the repeats that the file is to have.
        data_sha256: the hash of its data; "" if the file has none.
        experiment: that of the file, or of the job now where it is longer.
    """

    workers: list[int]
    repeats: range
    data_sha256: str
    experiment: Experiment


def _take_up(
    output: Path, experiment: Experiment, asked: range | None, ranks: Communicator
) -> tuple[Experiment, range, Earlier | None]:
    """Return `experiment` as the file at `output` is to have it, and its repeats; every rank calls it.

    Args:
        output: the file.
        experiment: the experiment of the job now.
        asked: the repeats that are asked for; None for those of the file.
        ranks: the ranks.

    Returns:
        The experiment and the repeats, the same on every rank; on the root also what the file says, elsewhere None.

    Raises:
        InputError: the file has other settings, or not the repeats asked for.
    """
    found = ranks.raise_collectively(lambda: _earlier(output, experiment, asked) if ranks.root else None)
    earlier = found and [run.earlier for run in found.experiment.runs]
    settled = found and [found.repeats.start, found.repeats.stop, found.workers, earlier]
    first, stop, workers, shorter = json.loads(ranks.texts(json.dumps(settled))[0])
    if found is not None:  # the root alone writes the text
        experiment = replace(experiment, text=found.experiment.text, overrides=found.experiment.overrides)
    return with_workers(_with_shorter_runs(experiment, shorter), workers), range(first, stop), found


def planned(
    output: Path,
    experiment: Experiment,
    asked: range | None,
    ranks: Communicator,
    plan: Callable[[Experiment, Communicator], planning.Plan] = planning.plan,
) -> tuple[planning.Plan, range]:
    """Return the plan with which the file at `output` is resumed, and its repeats; every rank calls it.

    Args:
        output: the file.
        experiment: the experiment of the job now.
        asked: the repeats that are asked for; None for those of the file.
        ranks: the ranks.
        plan: plans the experiment, and says what it refuses.

    Raises:
        InputError: the file has other settings, other data, or not the repeats asked for.
    """
    experiment, repeats, earlier = _take_up(output, experiment, asked, ranks)
    made = ranks.raise_collectively(lambda: plan(experiment, ranks))
    ranks.raise_collectively(lambda: _refuse_other_data(output, earlier, made))
    return made, repeats


def is_complete(output: Path, experiment: Experiment, repeats: range) -> bool:
    """Return whether these repeats of every run of the file at `output` have ended, so that nothing is left to do."""
    found = Trajectory(output)
    ended = [{repeat.number for repeat in run.repeats if repeat.status != "running"} for run in found]
    as_long = [run.attributes["iterations"] for run in found] == [run.iterations for run in experiment.runs]
    return bool(ended) and as_long and all(numbers == set(repeats) for numbers in ended)


def _earlier(output: Path, experiment: Experiment, asked: range | None) -> Earlier:
    """Return what the job that wrote the file settled.

    Raises:
        InputError: the file has other settings, or not the repeats asked for.
    """
    trajectory = Trajectory(output)
    before = carried(trajectory)
    if apart := difference(resolved(before), resolved(_no_longer(experiment, before))):
        what = f"cannot go on with this file: in it {apart} as in the job now"
        raise InputError(str(output), f"{what}; give the job as it was, another output, or --overwrite")
    repeats = _repeats(trajectory, before, experiment, asked)
    workers = [int(run.attributes["workers"]) for run in trajectory]
    now = _longer(trajectory, before, experiment)
    return Earlier(workers, repeats, trajectory.provenance.get("data_sha256", ""), now)


def _no_longer(now: Experiment, before: Experiment) -> Experiment:
    """Return the job with the repeats and iterations of an earlier one, where it has more."""
    if len(now.runs) != len(before.runs):
        return now
    runs = [
        replace(run, iterations=was.iterations, earlier=was.earlier)
        if run.iterations >= was.iterations and run.earlier in (None, was.earlier, _shorter(was, run, now.log))
        else run
        for run, was in zip(now.runs, before.runs, strict=True)
    ]
    return replace(now, repeats=min(now.repeats, before.repeats), runs=runs)


def _shorter(was: Run, run: Run, log: Log) -> list[int] | None:
    """Return K of the shorter runs whose records a run has that goes on from another; None where it is as any other."""
    more = [was.iterations] if run.iterations > was.iterations and log.every is None else []
    return [*(was.earlier or []), *more] or None


def _longer(trajectory: Trajectory, before: Experiment, now: Experiment) -> Experiment:
    """Return the job now, which says what runs it goes on from; the file's where it asks for nothing more.

    Raises:
        InputError: a complete repeat cannot go on, since its state was not kept.
    """
    pairs = list(zip(now.runs, before.runs, strict=True))
    if now.repeats == before.repeats and all(run.iterations == was.iterations for run, was in pairs):
        return before
    for number, (run, was) in enumerate(pairs):
        if run.iterations > was.iterations:
            _refuse_without_state(trajectory, number, was.iterations, run.iterations)
    shorter = [_shorter(was, run, now.log) for run, was in pairs]
    told = [f"runs.{number}.earlier={earlier}" for number, earlier in enumerate(shorter) if earlier]
    return replace(_with_shorter_runs(now, shorter), overrides=[*now.overrides, *told])


def _refuse_without_state(trajectory: Trajectory, number: int, before: int, now: int) -> None:
    """Raise InputError if a complete repeat of a run has no state from which it could go on."""
    run = trajectory.runs[number]
    lost = [repeat.number for repeat in run.finished() if not (repeat.has_state or repeat.ended)]
    if lost:
        apart = f"in it runs.{number}.iterations is {before}, not {now} as in the job now"
        why = f"no state of {run.label!r}, repeat {lost[0]}, was kept at its end"
        raise InputError(str(trajectory.path), f"cannot go on with this file: {apart}, and {why}")


def _repeats(trajectory: Trajectory, before: Experiment, now: Experiment, asked: range | None) -> range:
    """Return the repeats that the file is to have: more are added at the end.

    Raises:
        InputError: the file has others than those asked for.
    """
    theirs = trajectory.repeats
    if asked is None:  # a slice stays that slice
        return range(now.repeats) if theirs == range(before.repeats) else theirs
    if asked.start != theirs.start or asked.stop < theirs.stop:
        has = f"{trajectory.path} has the repeats {theirs.start}:{theirs.stop}"
        raise InputError("--repeats", f"{has}; leave it out to go on, or give {theirs.start}:B with a larger B")
    return asked


def _with_shorter_runs(experiment: Experiment, shorter: list[list[int] | None]) -> Experiment:
    """Return the experiment whose runs went on from runs of these K."""
    runs = [replace(run, earlier=earlier) for run, earlier in zip(experiment.runs, shorter, strict=True)]
    return replace(experiment, runs=runs)


def _refuse_other_data(output: Path, earlier: Earlier | None, plan: planning.Plan) -> None:
    """Raise InputError if the file at `output` was made from other data; `earlier` is None except on the root."""
    if earlier is not None and earlier.data_sha256 != planning.data_sha256(plan.problem):
        raise InputError(str(output), "cannot go on with this file: it was made from other data than the job names now")
