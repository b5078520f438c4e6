"""Turn checks of bounds into a claim's verdict, evidence and table."""

from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache, partial

import numpy as np

from mpisign.audit.bound_names import NAMES, failing
from mpisign.audit.bounds import BoundCheck, check, plot
from mpisign.audit.claims.claim import Claim, Drawing, Results, Table, Verdict, files_of, not_run, together
from mpisign.storage.trajectory import Trajectory

Chosen = Callable[[str, BoundCheck], bool]
"""Whether a claim rests on one bound on a run, given the job's name and the check of the bound."""


@cache
def every_bound(file: Trajectory) -> tuple[BoundCheck, ...]:
    """Check a file once, however many claims ask."""
    return tuple(check(file))


def rows(results: Results, jobs: Iterable[str], chosen: Chosen) -> list[BoundCheck]:
    """Return the chosen bounds of every file of these jobs.

    Raises:
        InputError: As `files_of` and `check` do.
    """
    return [row for job in jobs for file in files_of(results, job) for row in every_bound(file) if chosen(job, row)]


def of(*bounds: str, only: str = "", but: str = "\0") -> Chosen:
    """Choose these bounds, on runs with the words `only` and without the words `but` in their label."""
    return lambda job, row: row.bound in bounds and only in row.run and but not in row.run


def verdict(some: Iterable[BoundCheck]) -> Verdict:
    """Return one verdict for all: violated when one is, vacuous when all are, confirmed when all others are.

    Otherwise it is inconclusive.
    """
    found = {Verdict(row.verdict) for row in some}
    return together(found - {Verdict.VACUOUS} or found)


def line(row: BoundCheck) -> str:
    """Return one line on a run and bound, with the numbers where they decide."""
    return f"{NAMES[row.bound]}, {row.run}: {row.verdict}; {row.remark()}"


def summary(some: list[BoundCheck]) -> str:
    """Return how often each verdict was given, and the row with most weight among those of the joint verdict."""
    counts = Counter[str](row.verdict for row in some)
    said = ", ".join(f"{counts[word]} {word}" for word in Verdict if counts[word])
    most = max((row for row in some if row.verdict == verdict(some)), key=_weight, default=some[0])
    return f"{said}; {line(most)}"


def _weight(row: BoundCheck) -> float:
    """Return the limit over the bound at the deciding checkpoint: how far above it, or how near below."""
    found, i = row.judgement, row.worst
    limit = found.low[i] if row.verdict == "violated" else found.high[i]
    return float(limit / found.bound[i]) if np.isfinite(limit) and found.bound[i] > 0 else 0.0


def nearest(results: Results, job: str, chosen: Chosen) -> list[str]:
    """Return a line on each of the chosen bounds of a job: its mean gap beside it, at the first and last k."""
    return [_near(row) for row in rows(results, [job], chosen) if row.verdict != "vacuous"]


def _near(row: BoundCheck) -> str:
    """Return which part of the bound the mean gap is, at the first and last checkpoint."""
    parts = row.judgement.mean / row.judgement.bound
    reading = f" ({row.reading})" if row.reading else ""
    said = f"the mean is {parts[0]:.2f} of it at k = {row.k[0]} and {parts[-1]:.2f} at k = {row.k[-1]}"
    return f"near {NAMES[row.bound]}, {row.run}{reading}: {said}"


def table(some: list[BoundCheck]) -> Table:
    """Return a row for each run and bound; a vacuous one shows its premise in the place of numbers."""
    what = "min ‖g_{l}‖_{1}²" if {row.bound for row in some} == {"theorem1_gradient"} else "the gap"
    return Table(
        ["run", "bound", "verdict", "k", f"mean of {what} and its limits", "bound there"], [_cells(row) for row in some]
    )


def _cells(row: BoundCheck) -> list[str]:
    """Return the cells of one row."""
    reading = f" ({row.reading})" if row.reading else ""
    head = [row.run, f"{NAMES[row.bound]}{reading}", row.verdict]
    if row.verdict == "vacuous" or row.note:
        why = failing(row.judgement.premise) if row.verdict == "vacuous" else row.note
        return [*head, "" if row.from_k is None else f"from {row.from_k}", why, "–"]
    return [*head, *row.numbers()]


def judged(
    entry: Claim, results: Results, jobs: list[str], printed: Chosen, corrected: Chosen | None = None, drawn: str = ""
) -> Claim:
    """Return the claim with its verdicts from the checks of bounds.

    Where a file is missing a violation stands, any other verdict does not, and the evidence says what to run.

    Args:
        entry: The claim as stated.
        results: Trajectory files by the name of their job.
        jobs: Names of the jobs that it is tested on.
        printed: Which bounds decide about the claim as printed.
        corrected: Which bounds decide about the corrected claim; None where nothing is corrected.
        drawn: Caption of the figures of these files; "" for none.
    """
    entry = entry._replace(corrected_verdict=Verdict.NOT_RUN if corrected else None)
    missing = [job for job in jobs if job not in results]
    if len(missing) == len(jobs):
        return entry._replace(evidence=not_run(*missing))
    said, right = rows(results, jobs, printed), rows(results, jobs, corrected or (lambda job, row: False))
    if not missing and (not said or (corrected and not right)):
        wrong = [f"expected the runs of jobs/{job}.toml, and found others" for job in jobs]
        return entry._replace(verdict=Verdict.INCONCLUSIVE, evidence=wrong)
    summaries = [f"{name}: {summary(some)}" for name, some in (("as printed", said), ("corrected", right)) if some]
    return entry._replace(
        verdict=_of_some(said, missing),
        corrected_verdict=_of_some(right, missing) if corrected else None,
        rests_on=rests_on(said),
        corrected_rests_on=rests_on(right),
        evidence=[*summaries, *not_run(*missing)],
        table=table([*said, *right]),
        figures=[drawing(file, drawn) for job in jobs for file in results.get(job, [])] if drawn else [],
    )


def rests_on(some: list[BoundCheck]) -> str:
    """Return what the joint verdict of the checks rests on: how many checkpoints and repeats, and which error."""
    deciding = [row for row in some if row.verdict == verdict(some)]
    if not deciding or verdict(some) == Verdict.VACUOUS:
        return ""
    repeats = _range({row.repeats for row in deciding})
    if any(row.bound.startswith("theorem1") for row in deciding):
        return f"every record of {repeats} starts"
    if verdict(some) == Verdict.VIOLATED:
        return f"statistics, level 5 %, {repeats} repeats"
    said = f"{_range({len(row.k) for row in deciding})} checkpoints, {repeats} repeats"
    return f"{said}; {_condition(deciding)}" if verdict(some) == Verdict.CONFIRMED else said


def _condition(some: list[BoundCheck]) -> str:
    """Return the condition of the confirmed check that has the fewest repeats among those that need one."""
    conditional = [row for row in some if row.condition]
    return min(conditional, key=lambda row: row.repeats).condition if conditional else "exact limits"


def _range(numbers: set[int]) -> str:
    """Return the least and the largest of some numbers as text."""
    return str(min(numbers)) if len(numbers) == 1 else f"{min(numbers)} to {max(numbers)}"


def _of_some(some: list[BoundCheck], missing: list[str]) -> Verdict:
    """Return the verdict; while files are missing only a violation is certain."""
    found = verdict(some) if some else Verdict.INCONCLUSIVE
    return found if not missing or found == Verdict.VIOLATED else Verdict.INCONCLUSIVE


def drawing(file: Trajectory, caption: str) -> Drawing:
    """Return a drawing of the runs of a file beside their bounds."""
    alt = "Gaps against iterations on logarithmic axes, a panel for each run, with the bounds as lines."
    return Drawing(f"{caption} {file.path.name}.", alt, partial(plot.draw, list(every_bound(file))))
