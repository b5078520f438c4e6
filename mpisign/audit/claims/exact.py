"""Refute claims in exact arithmetic, from the job that a trajectory file carries: no seed and no statistics."""

from fractions import Fraction
from functools import cache

from mpisign.audit.certify.certificate import Row, certificate
from mpisign.audit.certify.exact_job import exact_run, sideways_parameters
from mpisign.audit.claims.claim import Claim, Results, Verdict
from mpisign.config.validation import InputError
from mpisign.engine.embedded_experiment import carried
from mpisign.storage.trajectory import Trajectory
from mpisign.theory.certificates.paths import Refutation, sideways_recursion

_STATES = 20_000
"""States of a certificate in the report: a second or two."""
_LONGEST = 44
"""Digits of a fraction that are shown; `mpisign certify --json` has all."""


def refuted(entry: Claim, results: Results, job: str, bound: str, equation: str) -> Claim:
    """Return the claim, refuted where E V_k of the job's first run is above the bound at some k; else as it is.

    Args:
        entry: The claim as statistics judge it.
        results: Trajectory files by the name of their job.
        job: The job that is certified.
        bound: Name of the bound.
        equation: Its number, for the evidence.
    """
    row = next((row for file in results.get(job, []) if (row := _first(file, bound))), None)
    if row is None:
        return entry
    numbers = f"E V_{row.k} = {_shown(row.expected)} > {_shown(row.bound_value)} = {equation} at k = {row.k}"
    line = f"{job.upper()} (jobs/{job}.toml): {numbers}; mpisign certify jobs/{job}.toml"
    return entry._replace(
        verdict=Verdict.REFUTED, rests_on=f"exact, k = {row.k}", evidence=[line, *_statistics(entry), *entry.evidence]
    )


def _statistics(entry: Claim) -> list[str]:
    """Return what statistics say besides."""
    return [f"by statistics besides: {entry.verdict} ({entry.rests_on})"] if entry.rests_on else []


@cache
def _first(file: Trajectory, bound: str) -> Row | None:
    """Return the first k where a bound is refuted for the first run of a file, or None."""
    job = carried(file)
    try:
        found = certificate(exact_run(job, job.runs[0]), job.runs[0].iterations, _STATES)
    except InputError:  # a job that was changed by --set, and has no finite law any more
        return None
    return next((row for row in found.rows if row.bound == bound and row.refuted), None)


def refuted_by_recursion(entry: Claim, results: Results) -> Claim:
    """Return Theorem 3's claim, refuted by the recursion of X5 for the runs of its job; else as it is."""
    found = [pair for file in results.get("x5", []) for pair in _recursions(file)]
    if not found:
        return entry
    lines = [
        f"X5 (jobs/x5.toml), M = {workers}: if (21) held up to k = {each.k}, E V_{each.k} would be at least "
        f"{float(each.lower):.6g} > {float(each.bound):.6g} = (21)"
        for workers, each in found
    ]
    most = "; ".join(f"M = {workers}: k <= {each.k}" for workers, each in found)
    return entry._replace(
        verdict=Verdict.REFUTED, rests_on=f"exact, {most}", evidence=[*lines, *_statistics(entry), *entry.evidence]
    )


def _recursions(file: Trajectory) -> list[tuple[int, Refutation]]:
    """Return what the recursion refutes for each run of a file, with its M."""
    job = carried(file)
    found = []
    for run in job.runs:
        try:
            known = sideways_parameters(job, run)
            refutation = sideways_recursion(*known, most=run.iterations)
        except (InputError, ValueError):  # a run that --set has changed
            continue
        found += [(run.workers or 1, refutation)] if refutation else []
    return found


def _shown(value: Fraction) -> str:
    """Return a fraction and its decimal, or the decimal alone where it is long."""
    text = str(value)
    return f"{text} = {float(value):.6g}" if len(text) <= _LONGEST else f"{float(value):.6g}"
