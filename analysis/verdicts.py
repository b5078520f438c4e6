"""What check.py finds, as an entry's verdict and evidence."""

from collections.abc import Callable, Iterable
from functools import cache, partial

import versus
from checking import Checked, check
from entry import Drawing, Entry, Results, Verdict, not_run

from mpisign.trajectory import Trajectory

PRINTED = ("theorem1", "theorem1_gradient", "theorem2", "theorem2_harmonic", "theorem3")
"""The bounds that the paper prints; the others are corrected ones."""

Chosen = Callable[[Checked], bool]


@cache
def every_bound(file: Trajectory) -> tuple[Checked, ...]:
    """Checked once, however many entries ask."""
    return tuple(check(file))


def rows(results: Results, jobs: Iterable[str], chosen: Chosen) -> list[Checked]:
    """The bounds that were chosen, of every file of these jobs."""
    return [row for job in jobs for file in results.get(job, []) for row in every_bound(file) if chosen(row)]


def of(*bounds: str, **wanted: str) -> Chosen:
    """One of these bounds; runs_with: its label has these words, runs_without: it has not."""
    has, lacks = wanted.get("runs_with", ""), wanted.get("runs_without", "\0")
    return lambda row: row.bound in bounds and has in row.run and lacks not in row.run


def verdict(some: Iterable[Checked]) -> Verdict:
    """violated when one is; vacuous when all are; confirmed when all others are; inconclusive when none is there."""
    found = {row.verdict for row in some}
    if "violated" in found:
        return Verdict.VIOLATED
    if len(found) > 1:
        found -= {"vacuous"}
    return Verdict(found.pop()) if len(found) == 1 else Verdict.INCONCLUSIVE


def line(row: Checked) -> str:
    """One run and bound, with the numbers where they decide."""
    return f"{versus.NAMES[row.bound]}, {row.run}: {row.verdict}; {row.remark()}"


def judged(
    entry: Entry, results: Results, jobs: list[str], printed: Chosen, corrected: Chosen | None = None, drawn: str = ""
) -> Entry:
    """The entry with its verdicts from check.py; inconclusive, saying what to run, where a file is missing.

    printed, corrected: which bounds speak for it. drawn: what the figures of these files show.
    """
    missing = [job for job in jobs if job not in results]
    if missing:
        return entry._replace(evidence=not_run(*missing))
    said = rows(results, jobs, printed)
    right = rows(results, jobs, corrected) if corrected else []
    return entry._replace(
        verdict=verdict(said),
        corrected_verdict=verdict(right) if corrected else None,
        evidence=[line(row) for row in dict.fromkeys([*said, *right]) if row.verdict != "vacuous"] or [line(said[0])],
        figures=[drawing(file, drawn) for job in jobs for file in results[job]] if drawn else [],
    )


def drawing(file: Trajectory, caption: str) -> Drawing:
    """The runs of a file beside their bounds."""
    alt = "Gaps against iterations on logarithmic axes, a panel for each run, with the bounds as lines."
    return Drawing(f"{caption} {file.path.name}.", alt, partial(versus.draw, list(every_bound(file))))
