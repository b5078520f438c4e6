"""Read the experiment that a trajectory file carries."""

from dataclasses import replace
from typing import Any

from mpisign.algorithms.initial_points import STARTS
from mpisign.algorithms.methods import METHODS
from mpisign.algorithms.oracles import ORACLES
from mpisign.algorithms.step_sizes import STEPS
from mpisign.config.document import Table
from mpisign.config.experiment import Experiment, parse
from mpisign.config.registry import Registry
from mpisign.config.validation import InputError
from mpisign.problems import PROBLEMS
from mpisign.storage.trajectory import Trajectory


def carried(trajectory: Trajectory) -> Experiment:
    """Return the experiment stored in the file.

    Raises:
        InputError: the file holds no valid experiment, or its runs are not those of the file in their order; the
            message names the file.
    """
    try:
        found = parse(trajectory.experiment, trajectory.overrides, trajectory.name)
    except InputError as error:
        raise inside(trajectory, error) from None
    expected, there = ([run.label for run in runs] for runs in (found.runs, trajectory.runs))
    if there != expected:
        lost = [label for label in expected if label not in there]
        wrong = f"{_listed(lost)} is missing" if lost else f"found {_listed(there)}"
        raise InputError(str(trajectory.path), f"expected the runs of its experiment, {_listed(expected)}; {wrong}")
    return found


def resolved(experiment: Experiment) -> Experiment:
    """Return the experiment with the defaults of what its tables leave out: spelt out or not, it is the same one.

    Where a kind cannot be found, its table is left as it is.
    """
    runs = [
        replace(
            run,
            method=_filled(METHODS, run.method, "method"),
            step=_filled(STEPS, run.step),
            oracle=_filled(ORACLES, run.oracle),
        )
        for run in experiment.runs
    ]
    problem, start = _filled(PROBLEMS, experiment.problem), _filled(STARTS, experiment.start)
    return replace(experiment, problem=problem, start=start, runs=runs)


def _filled(registry: Registry[Any], table: Table, kind: str = "kind") -> Table:
    """Return the table with its kind's defaults, or as it is where the kind is unknown."""
    try:
        return registry.filled(table, kind)
    except (InputError, KeyError):
        return table


def inside(trajectory: Trajectory, error: InputError) -> InputError:
    """Return the complaint about the experiment of a file, with the file's name."""
    return InputError(str(trajectory.path), f"the experiment that it carries: {error}")


def _listed(labels: list[str]) -> str:
    """Return the labels in quotes, joined by "and"."""
    return " and ".join(map(repr, labels))
