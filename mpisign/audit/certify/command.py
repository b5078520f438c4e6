"""Print the certificates of a job's runs, and write them as JSON."""

import sys
from fractions import Fraction
from pathlib import Path

from mpisign.audit.bound_names import named
from mpisign.audit.certify.certificate import Certificate, Row, certificate
from mpisign.audit.certify.exact_job import ExactRun, exact_run
from mpisign.audit.json_rows import write_rows
from mpisign.config import experiment
from mpisign.config.validation import InputError, closest, shown
from mpisign.theory.certificates.quadratics import times

_LONGEST = 120
"""Digits of a fraction that are printed; JSON has all of them."""


def certify(path: Path, label: str | None, upto: int | None, most: int, output: Path | None) -> None:
    """Certify the runs of a job, print what was found, and write it where `output` asks for it.

    Args:
        path: The job file.
        label: The run; None for every run that can be certified.
        upto: Largest k; None for the job's iterations.
        most: Largest number of states.
        output: Where the rows are written as JSON, or None.

    Raises:
        InputError: If no run can be certified, or the output cannot be written.
    """
    sys.set_int_max_str_digits(0)  # a fraction of some hundred iterations has more than Python prints by itself
    found = []
    runs, refused = _runs(path, label)
    if refused:
        print("\n".join(refused))
    for run in runs:
        print("\n".join(_head(run, upto or run.iterations, most)), flush=True)
        try:
            found.append(certificate(run, upto or run.iterations, most))
        except InputError as error:
            raise InputError(str(path), str(error)) from None
        print("\n".join([*_body(found[-1]), ""]), flush=True)
    if output:
        write_rows(output, [row.document() for each in found for row in each.rows])


def _runs(path: Path, label: str | None) -> tuple[list[ExactRun], list[str]]:
    """Return the runs that were asked for, in fractions, and why others are left out; refuse where none can be."""
    job = experiment.read(path)
    labels = [run.label for run in job.runs]
    if label is not None and label not in labels:
        raise InputError("--run", f"no run {shown(label)}; {closest(label, labels)}")
    found, refused = [], []
    for run in job.runs:
        try:
            found += [exact_run(job, run)] if label in (None, run.label) else []
        except InputError as error:
            refused.append((run.label, error))
    if not found:
        raise InputError(str(path), str(refused[0][1]))
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


def _body(found: Certificate) -> list[str]:
    """Return the constants, a table, and a line on each bound."""
    return [*_constants(found), *_table(found), *_premises(found), *_outcomes(found)]


def _constants(found: Certificate) -> list[str]:
    noise, last = found.moments[-1].noise, found.moments[-1].k - 1
    known = found.rows[0].constants
    assert noise is not None
    over = f"exact, over the states of x_0, ..., x_{last}"
    literal = "" if noise.p_min == noise.p_min_literal else f", and {noise.p_min_literal} over all i"
    return [
        f"mu = {known['mu']} and L = {known['L']}: exact, of H",
        f"p_min = {noise.p_min} over g_i != 0{literal}: {over}",
        f"sigma^2 = {_both(noise.sigma2)}: {over}",
    ]


def _table(found: Certificate) -> list[str]:
    """Return for each k E V_k, and below it each bound: as decimals and as fractions."""
    lines = []
    for moment in found.moments[1:]:
        lines.append(f"k = {moment.k}: E V_k = {_both(moment.gap)}")
        for row in found.rows:
            if row.k == moment.k:
                lines.append(f"  {'>' if row.refuted else '<='} {_both(row.bound_value)}: {_named(row)}")
    return lines


def _premises(found: Certificate) -> list[str]:
    return [
        f"{named(name, reading)}: says nothing, as a premise fails: {premise}"
        for (name, reading), premise in found.premises.items()
    ]


def _outcomes(found: Certificate) -> list[str]:
    """Return what is refuted, and at which k."""
    lines = []
    last = found.moments[-1].k
    for name in dict.fromkeys(map(_named, found.rows)):
        rows = [row for row in found.rows if _named(row) == name]
        first = next((row.k for row in rows if row.refuted), None)
        near = max(float(row.expected / row.bound_value) for row in rows)
        said = f"refuted at k = {first}" if first is not None else f"not refuted up to k = {last}"
        lines.append(f"{name}: {said}; E V_k over the bound is at most {near:.6g}")
    if found.stopped is not None:
        lines.append(f"stopped: x_{found.stopped} has too many states (--states)")
    return lines


def _named(row: Row) -> str:
    return named(row.bound, row.reading)


def _both(value: Fraction) -> str:
    """Return a fraction as a decimal and as itself, or how many digits it has where these are many."""
    text = str(value)
    said = text if len(text) <= _LONGEST else f"a fraction of {len(text) - 1} digits"
    return said if text == f"{float(value):.10g}" else f"{float(value):.10g} = {said}"
