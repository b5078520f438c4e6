"""Certify the runs of an experiment, one after another: what the command and the function of Python's front share."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from mpisign.audit.certify.certificate import Certificate, certificate
from mpisign.audit.certify.exact_job import ExactRun, exact_run
from mpisign.config.experiment import Experiment
from mpisign.config.validation import InputError, closest, shown
from mpisign.theory.certificates.quadratics import times

MOST_STATES = 200_000
"""The states that are allowed unless others are asked for: some seconds an iteration."""
_ASKED = ("run", "states")
"""The keys of complaints about what was asked for, and not about the job."""


def certificates(
    job: Experiment,
    label: str | None = None,
    upto: int | None = None,
    most: int = MOST_STATES,
    say: Callable[[Sequence[str]], None] = lambda lines: None,
) -> Iterator[Certificate]:
    """Yield the certificate of each run of an experiment.

    Args:
        job: The experiment.
        label: The run; None for every run that can be certified.
        upto: Largest k; None for the run's iterations.
        most: Largest number of states.
        say: Called with lines on what is left out, and on each run before it is enumerated.

    Raises:
        InputError: If no run can be certified, or there is no such run; it names the key.
    """
    runs, refused = _chosen(job, label)
    if refused:
        say(refused)
    for run in runs:
        say(_head(run, upto or run.iterations, most))
        yield certificate(run, upto or run.iterations, most)


def of_file(path: str | Path, error: InputError, dashes: str = "") -> InputError:
    """Return a complaint that names the job file, or what was asked for, which is an option with `dashes` before it."""
    if error.key in _ASKED:
        return InputError(f"{dashes}{error.key}", error.complaint)
    # what cannot be read is named already
    return error if error.key.startswith(str(path)) else InputError(str(path), str(error))


def _chosen(job: Experiment, label: str | None) -> tuple[list[ExactRun], list[str]]:
    """Return the runs that were asked for, in fractions, and why others are left out; refuse where none can be."""
    labels = [run.label for run in job.runs]
    if label is not None and label not in labels:
        raise InputError("run", f"no run {shown(label)}; {closest(label, labels)}")
    found, refused = [], []
    for run in job.runs:
        try:
            found += [exact_run(job, run)] if label in (None, run.label) else []
        except InputError as error:
            refused.append((run.label, error))
    if not found:
        raise refused[0][1]
    return found, [f"run {name!r} is left out: {error}" for name, error in refused]


def _head(run: ExactRun, upto: int, most: int) -> list[str]:
    """Return what is known before anything is enumerated."""
    process = run.process
    if run.alpha is not None:
        step = f"alpha = {run.alpha}"
    else:
        c, k0 = run.harmonic or (Fraction(0), Fraction(0))
        step = f"alpha_k = {c} / (k + {k0})"
    outcomes = len(process.law(times(process.matrix, process.start))) ** process.workers
    most_states = f"{outcomes}^{upto}" if outcomes > 1 else "1"
    return [
        f"run {run.label!r}: d = {len(process.start)}, M = {process.workers}, {step}, up to k = {upto}",
        f"at most {most_states} states before equal ones are merged; it stops beyond {most} (--states)",
    ]
