"""Going on with a trajectory file: is it one of the same experiment, and how many workers, which repeats had it?"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from mpisign import experiment
from mpisign.experiment import Experiment, difference, with_workers
from mpisign.planning import Plan
from mpisign.ranks import Ranks
from mpisign.settings import BadInput
from mpisign.trajectory import Trajectory


class Earlier(NamedTuple):
    """What an earlier job settled: the workers of each run, and the repeats that were asked for."""

    workers: list[int]
    repeats: range


def take_up(output: Path, settings: Experiment, ranks: Ranks) -> tuple[Experiment, range]:
    """`settings` with the workers of the file at `output`, and its repeats; the same on every rank, each calls it.

    Raises BadInput where the file has other settings.
    """
    found = ranks.together(lambda: _earlier(output, settings) if ranks.root else None)
    row = np.zeros(2 + len(settings.runs), dtype=np.uint64)
    if found is not None:
        row[:] = (found.repeats.start, found.repeats.stop, *found.workers)
    ranks.broadcast(row)
    first, stop, *workers = (int(number) for number in row)
    return with_workers(settings, workers), range(first, stop)


def _earlier(output: Path, settings: Experiment) -> Earlier:
    trajectory = Trajectory(output)
    theirs = experiment.parse(trajectory.experiment, trajectory.overrides)
    if apart := difference(theirs, settings):
        raise BadInput(str(output), f"cannot go on with this file: in it {apart} as in the job now")
    return Earlier([int(run.attributes["workers"]) for run in trajectory], trajectory.repeats)


def check(output: Path, repeats: range, planned: Plan) -> None:
    """Raises BadInput where the file at `output` has other repeats or was made from other data."""
    trajectory = Trajectory(output)
    if trajectory.repeats != repeats:
        theirs = f"{trajectory.repeats.start}:{trajectory.repeats.stop}"
        raise BadInput("--repeats", f"{output} has the repeats {theirs}; go on with them, or give another output")
    if trajectory.provenance.get("data_sha256", "") != planned.problem.data_sha256():
        raise BadInput(str(output), "cannot go on with this file: it was made from other data than the job names now")
