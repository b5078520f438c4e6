"""A claim of the paper with its verdict: what the ledger is made of, and what the report shows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import NamedTuple, TypeVar

from matplotlib.figure import Figure

from mpisign.audit.figures.figure import whole
from mpisign.audit.intervals import Interval
from mpisign.config.validation import InputError
from mpisign.storage.trajectory import Trajectory

T = TypeVar("T")

Results = Mapping[str, list[Trajectory]]
"""Trajectory files by the name of their job."""


class Verdict(StrEnum):
    """What was found of a claim; MEANINGS says it in words. All but "not run" are those of `mpisign.theory.verdict`."""

    CONFIRMED = "confirmed"
    VIOLATED = "violated"
    VACUOUS = "vacuous"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not run"


MEANINGS = {
    Verdict.CONFIRMED: "it was tested as its job says, and it held",
    Verdict.VIOLATED: "it is false in a case that was run",
    Verdict.VACUOUS: "a premise fails in every run, or what is compared is one and the same: it says nothing here",
    Verdict.INCONCLUSIVE: "it was run, and neither is certain; so is a run that was cut short",
    Verdict.NOT_RUN: "no trajectory file of its job is there",
}
"""What each verdict means, for the page."""


class Drawing(NamedTuple):
    """caption: what to see in it; alt: the same for who cannot see it; draw: makes it, when the page is made."""

    caption: str
    alt: str
    draw: Callable[[], Figure]


class Table(NamedTuple):
    """Numbers in rows; the first cell of each names it."""

    head: list[str]
    rows: list[list[str]]


class Claim(NamedTuple):
    """One claim. Text is plain; an index or exponent stands in braces: x_{k+1}, ζ^{k}.

    id: "theorem-2-1"; equation: "(19)" or ""; statement: the claim in our words; verdict: on it, as printed.
    corrected: what holds instead, "" where the printed statement stands, and then corrected_verdict is None.
    refutable: whether one case refutes it, so that a violation found in a run that was cut short stands.
    tested_on: the job file and what it runs; evidence: lines of numbers, never empty; table: more of them.
    """

    id: str
    title: str
    equation: str
    statement: str
    tested_on: str
    evidence: list[str]
    verdict: Verdict = Verdict.NOT_RUN
    corrected: str = ""
    corrected_verdict: Verdict | None = None
    figures: Sequence[Drawing] = ()
    table: Table | None = None
    refutable: bool = True


def not_run(*jobs: str) -> list[str]:
    """The evidence of a claim whose trajectory files are not there."""
    return [f"not run: mpisign run jobs/{job}.toml -o results/{job}.h5" for job in jobs]


def confirmed_if(holds: bool) -> Verdict:
    """confirmed or violated."""
    return Verdict.CONFIRMED if holds else Verdict.VIOLATED


def above(found: Interval, value: float) -> Verdict:
    """Of a claim that a number is more than a value: by its interval, which leaves it open when it has the value."""
    return Verdict.CONFIRMED if found.low > value else Verdict.VIOLATED if found.high <= value else Verdict.INCONCLUSIVE


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """Of a claim with several parts: violated when one of them is, confirmed when all are."""
    some = set(verdicts)
    if Verdict.VIOLATED in some:
        return Verdict.VIOLATED
    return some.pop() if len(some) == 1 else Verdict.INCONCLUSIVE


def files_of(results: Results, *jobs: str) -> list[Trajectory]:
    """The files of these jobs, in this order; none of a job that was not run. Raises InputError as `whole`."""
    return whole([file for job in jobs for file in results.get(job, [])])


def beside(results: Results, job: str, read: Callable[[Trajectory], T]) -> tuple[list[T], list[str]]:
    """What is read in a job's files that decide nothing, and why others were refused: that takes no verdict away."""
    found, refused = [], []
    for file in results.get(job, []):
        try:
            found.append(read(*whole([file])))
        except InputError as error:
            refused.append(str(error))
    return found, refused


def first(some: Iterable[T], files: list[Trajectory], what: str) -> T:
    """The first of what was looked for in these files; raises InputError, which says what that was, where there is
    none.

    A job keeps its name when its runs are relabelled or changed with --set.
    """
    for one in some:
        return one
    raise InputError(", ".join(str(file.path) for file in files), f"expected {what}")


def lines(files: list[Trajectory], findings: Callable[[Trajectory], list[str]]) -> list[str]:
    """What a script finds in each file, which is named when there are several; without what it repeats of the paper."""
    named = [(f"{file.path.stem}: " if len(files) > 1 else "", findings(file)) for file in files]
    return [name + line for name, found in named for line in found if not line.startswith("paper: ")]


def figures(files: list[Trajectory], draw: Callable[[Trajectory], Figure], caption: str, alt: str) -> list[Drawing]:
    """What a script draws of each file, which the caption names."""
    return [Drawing(f"{caption} {file.path.name}.", alt, partial(draw, file)) for file in files]
