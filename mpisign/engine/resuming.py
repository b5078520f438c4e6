"""Resume a trajectory file: check that it is of the same experiment, and read its numbers of workers and repeats."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mpisign.comm.communicator import Communicator
from mpisign.config.experiment import Experiment, difference, with_workers
from mpisign.config.validation import InputError
from mpisign.engine import planning
from mpisign.engine.embedded_experiment import carried, resolved
from mpisign.storage.trajectory import Trajectory


class Earlier(NamedTuple):
    """What an earlier job settled.

    Attributes:
        workers: M of each run.
        repeats: the numbers of the repeats that were asked for.
        data_sha256: the hash of its data; "" if the file has none.
    """

    workers: list[int]
    repeats: range
    data_sha256: str


def _take_up(
    output: Path, experiment: Experiment, asked: range | None, ranks: Communicator
) -> tuple[Experiment, range, Earlier | None]:
    """Return `experiment` with the workers of the file at `output`, and the file's repeats; every rank calls it.

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
    row = np.zeros(2 + len(experiment.runs), dtype=np.uint64)
    if found is not None:
        row[:] = (found.repeats.start, found.repeats.stop, *found.workers)
    ranks.broadcast(row)
    first, stop, *workers = (int(number) for number in row)
    return with_workers(experiment, workers), range(first, stop), found


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


def is_complete(output: Path) -> bool:
    """Return whether every repeat of every run of the file at `output` has ended, so that nothing is left to resume."""
    found = Trajectory(output)
    ended = [{repeat.number for repeat in run.repeats if repeat.status != "running"} for run in found]
    return bool(ended) and all(numbers == set(found.repeats) for numbers in ended)


def _earlier(output: Path, experiment: Experiment, asked: range | None) -> Earlier:
    """Return what the job that wrote the file settled.

    Raises:
        InputError: the file has other settings, or not the repeats asked for.
    """
    trajectory = Trajectory(output)
    if apart := difference(resolved(carried(trajectory)), resolved(experiment)):
        what = f"cannot go on with this file: in it {apart} as in the job now"
        raise InputError(str(output), f"{what}; give the job as it was, another output, or --overwrite")
    theirs = trajectory.repeats
    if asked not in (None, theirs):
        raise InputError("--repeats", f"{output} has the repeats {theirs.start}:{theirs.stop}; leave it out to go on")
    workers = [int(run.attributes["workers"]) for run in trajectory]
    return Earlier(workers, theirs, trajectory.provenance.get("data_sha256", ""))


def _refuse_other_data(output: Path, earlier: Earlier | None, plan: planning.Plan) -> None:
    """Raise InputError if the file at `output` was made from other data; `earlier` is None except on the root."""
    if earlier is not None and earlier.data_sha256 != planning.data_sha256(plan.problem):
        raise InputError(str(output), "cannot go on with this file: it was made from other data than the job names now")
