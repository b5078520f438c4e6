"""Certify from Python: E V_k of an experiment's runs and the bounds as fractions, and which is larger."""

from pathlib import Path
from typing import TYPE_CHECKING

from mpisign.audit.certify.certificate import Row, outcomes
from mpisign.audit.certify.runs import MOST_STATES, certificates, of_file
from mpisign.config.experiment import Experiment as Job
from mpisign.config.experiment import read
from mpisign.config.validation import InputError

if TYPE_CHECKING:
    from mpisign.api import Experiment


class Rows(list[Row]):
    """Every bound at every k; its text is a line on each bound of each run."""

    def __repr__(self) -> str:
        runs = dict.fromkeys(row.run for row in self)
        lines = [(run, line) for run in runs for line in outcomes([row for row in self if row.run == run])]
        return "\n".join(f"{run}: {line}" for run, line in lines)


def certify(
    experiment: "Experiment | str | Path", run: str | None = None, *, upto: int | None = None, states: int = MOST_STATES
) -> Rows:
    """Compare E V_k with the bounds of the theorems as fractions, as `mpisign certify` does.

    Numbers are what the job's digits say, 1/10 for 0.1; a job file may say "3/43", which an object has as a float. The
    enumeration ends at the first k with too many states.

    Args:
        experiment: The experiment, or its job file.
        run: Label of the run; by default every run whose stochastic gradient has a finite law.
        upto: The largest k; by default the run's iterations.
        states: The largest number of states.

    Returns:
        A list of `mpisign.audit.certify.certificate.Row`, one for each bound at each k from 1 on.

    Raises:
        InputError: No run can be certified, there is no such run, or a number is none that can be asked for.
    """
    for name, value in (("upto", upto), ("states", states)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise InputError(name, f"expected a whole number > 0, got {value!r}")
    if not isinstance(experiment, str | Path):
        if experiment.made is not None:
            raise InputError("problem", "expected one that a job file can describe, such as mpisign.Quadratic")
        return _rows(experiment.settings, run, upto, states)
    try:
        return _rows(read(Path(experiment)), run, upto, states)
    except InputError as error:
        raise of_file(experiment, error) from None


def _rows(job: Job, run: str | None, upto: int | None, states: int) -> Rows:
    """Return the rows of every certificate."""
    return Rows(row for found in certificates(job, run, upto, states) for row in found.rows)
