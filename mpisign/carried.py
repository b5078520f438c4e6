"""The experiment that a trajectory file carries."""

from mpisign.experiment import Experiment, parse
from mpisign.settings import BadInput
from mpisign.trajectory import Trajectory


def carried(trajectory: Trajectory) -> Experiment:
    """It; raises BadInput, naming the file, where it is none, or its runs are not those of the file, in their order."""
    try:
        found = parse(trajectory.experiment, trajectory.overrides, trajectory.name)
    except BadInput as error:
        raise inside(trajectory, error) from None
    expected, there = ([run.label for run in runs] for runs in (found.runs, trajectory.runs))
    if there != expected:
        lost = [label for label in expected if label not in there]
        wrong = f"{_listed(lost)} is missing" if lost else f"found {_listed(there)}"
        raise BadInput(str(trajectory.path), f"expected the runs of its experiment, {_listed(expected)}; {wrong}")
    return found


def inside(trajectory: Trajectory, error: BadInput) -> BadInput:
    """A complaint about the experiment of a file, which names the file."""
    return BadInput(str(trajectory.path), f"the experiment that it carries: {error}")


def _listed(labels: list[str]) -> str:
    return " and ".join(map(repr, labels))
