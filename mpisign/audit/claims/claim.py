"""Define a claim of the paper with its verdict, as the claims judge it and the report shows it."""

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
    """The verdict on a claim; MEANINGS explains each, and those of tests are the words of `mpisign.theory.verdict`."""

    PROVED = "proved"
    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    VIOLATED = "violated"
    VACUOUS = "vacuous"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not run"


MEANINGS = {
    Verdict.PROVED: "it follows by the argument that is shown",
    Verdict.CONFIRMED: "it was tested as its job says, and it held",
    Verdict.REFUTED: "it is false by exact arithmetic or by the argument that is shown",
    Verdict.VIOLATED: "it is false in a case that was run",
    Verdict.VACUOUS: "a premise fails in every run, or what is compared is one and the same: it says nothing here",
    Verdict.INCONCLUSIVE: "it was run, and neither is certain; so is a run that was cut short",
    Verdict.NOT_RUN: "no trajectory file of its job is there",
}
"""What each verdict means, for the page."""


class Drawing(NamedTuple):
    """A figure that is drawn when the page is made.

    Attributes:
        caption: What to see in it.
        alt: The same for readers who cannot see it.
        draw: Makes the figure.
    """

    caption: str
    alt: str
    draw: Callable[[], Figure]


class Table(NamedTuple):
    """Numbers in rows; the first cell of each row names it."""

    head: list[str]
    rows: list[list[str]]


class Claim(NamedTuple):
    """A claim of the paper. Text is plain; an index or exponent stands in braces: x_{k+1}, ζ^{k}.

    Attributes:
        id: Such as "theorem-2-1".
        title: Such as "Theorem 2(1)".
        equation: Such as "(19)", or "".
        statement: The claim in our words.
        tested_on: The job file and what it runs.
        evidence: Lines of numbers, never empty.
        verdict: The verdict on the claim as printed.
        corrected: What holds instead; "" where the printed statement stands.
        corrected_verdict: The verdict on `corrected`; None where there is nothing to correct.
        figures: What the page shows of it.
        table: More numbers.
        refutable: Whether one case refutes it, so that a violation found in a run that was cut short stands.
        rests_on: What the verdict rests on, such as "exact, k = 5" or "12 checkpoints, 60 repeats"; or "".
        corrected_rests_on: The same of the verdict on `corrected`.
        argument: Why, in two sentences that a reader can check by hand; or "".
        printed: Whether the claim stands in the paper; a finding of ours does not.
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
    rests_on: str = ""
    corrected_rests_on: str = ""
    argument: str = ""
    printed: bool = True


UNDECIDED = (Verdict.VACUOUS, Verdict.INCONCLUSIVE, Verdict.NOT_RUN)
"""The verdicts that decide nothing."""

AGAINST = (Verdict.VIOLATED, Verdict.REFUTED)
"""The verdicts that say that a claim is false."""


def not_run(*jobs: str) -> list[str]:
    """Return the evidence of a claim whose trajectory files are missing: the commands that make them."""
    return [f"not run: mpisign run jobs/{job}.toml -o results/{job}.h5" for job in jobs]


def confirmed_if(holds: bool) -> Verdict:
    """Return CONFIRMED if it holds, otherwise VIOLATED."""
    return Verdict.CONFIRMED if holds else Verdict.VIOLATED


def above(found: Interval, value: float) -> Verdict:
    """Return the verdict on a number being above `value`; inconclusive when its interval contains `value`."""
    return Verdict.CONFIRMED if found.low > value else Verdict.VIOLATED if found.high <= value else Verdict.INCONCLUSIVE


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on a claim with several parts: violated when one is, confirmed when all are."""
    some = set(verdicts)
    if Verdict.VIOLATED in some:
        return Verdict.VIOLATED
    return some.pop() if len(some) == 1 else Verdict.INCONCLUSIVE


def files_of(results: Results, *jobs: str) -> list[Trajectory]:
    """Return the files of these jobs, in this order; none for a job that was not run.

    Raises:
        InputError: If a repeat has not ended (see `whole`).
    """
    return whole([file for job in jobs for file in results.get(job, [])])


def beside(results: Results, job: str, read: Callable[[Trajectory], T]) -> tuple[list[T], list[str]]:
    """Read the files of a job that decides nothing, so that a bad file takes no verdict away.

    Returns:
        What was read, and why other files were refused.
    """
    found, refused = [], []
    for file in results.get(job, []):
        try:
            found.append(read(*whole([file])))
        except InputError as error:
            refused.append(str(error))
    return found, refused


def first(some: Iterable[T], files: list[Trajectory], what: str) -> T:
    """Return the first of what was looked for in these files.

    A job keeps its name when its runs are relabelled or changed with --set, so that there may be none.

    Raises:
        InputError: If there is none; `what` says what was expected.
    """
    for one in some:
        return one
    raise InputError(", ".join(str(file.path) for file in files), f"expected {what}")


def lines(files: list[Trajectory], findings: Callable[[Trajectory], list[str]]) -> list[str]:
    """Return what `findings` finds in each file, without the lines that repeat the paper.

    Each line begins with the file's name when there are several files.
    """
    named = [(f"{file.path.stem}: " if len(files) > 1 else "", findings(file)) for file in files]
    return [name + line for name, found in named for line in found if not line.startswith("paper: ")]


def figures(files: list[Trajectory], draw: Callable[[Trajectory], Figure], caption: str, alt: str) -> list[Drawing]:
    """Return a drawing of each file, which its caption names."""
    return [Drawing(f"{caption} {file.path.name}.", alt, partial(draw, file)) for file in files]
