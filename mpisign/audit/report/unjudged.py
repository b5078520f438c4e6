"""Say how many claims are open, as printed or corrected, for want of runs or of full runs, and what to run."""

from collections.abc import Iterator
from pathlib import Path

from mpisign.audit.claims.claim import Claim, Results, Verdict
from mpisign.audit.claims.cut_short import shortfall

_OPEN = {Verdict.NOT_RUN, Verdict.INCONCLUSIVE}
_FEW = 3
"""Files that are named; the page has all."""


def unjudged(entries: list[Claim], results: Results, folder: Path) -> Iterator[str]:
    """Yield a line on claims whose jobs have no file, and one on claims whose runs were cut short.

    Args:
        entries: The claims with their verdicts.
        results: Trajectory files by the name of their job.
        folder: Where they are.
    """
    waiting = [entry for entry in entries if {entry.verdict, entry.corrected_verdict} & _OPEN]
    missing = [entry for entry in waiting if _says(entry, "not run: ")]
    if missing:
        yield (
            f"{_claims(missing)} not judged in full, as a job of theirs has no file in {folder}: mpisign init NAME, "
            f"and mpisign run NAME.toml -o {folder / 'NAME.h5'} (report.html has each name)"
        )
    short = [entry for entry in waiting if _says(entry, " was cut short: ") or _says(entry, " was cut off ")]
    if short:
        yield (
            f"{_claims(short)} not judged in full, as runs were cut short{_files(results)}: a claim asks for all "
            "repeats and iterations of its job, that is for mpisign run without --repeats and --set; mpisign check "
            "judges a file as it is"
        )


def _says(entry: Claim, words: str) -> bool:
    """Return whether the evidence has these words."""
    return any(words in line for line in entry.evidence)


def _claims(some: list[Claim]) -> str:
    """Return a number of claims with its verb."""
    return f"{len(some)} claim{' is' if len(some) == 1 else 's are'}"


def _files(results: Results) -> str:
    """Return the files that were cut short with what was run of them, in brackets; "" where none can be named."""
    found = [f"{file.path.name}: {said}" for some in results.values() for file in some if (said := shortfall(file))]
    more = f"; and {len(found) - _FEW} more" if len(found) > _FEW else ""
    return f" ({'; '.join(found[:_FEW])}{more})" if found else ""
