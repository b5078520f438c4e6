"""Turn ratios of final gaps into a claim's verdict, evidence and table."""

from collections.abc import Callable, Iterable, Mapping

from mpisign.audit.claims.claim import Table, Verdict, together
from mpisign.audit.run_comparison import Finding
from mpisign.theory.verdict import Word


def said(made: Mapping[str, Finding], says: Callable[[str], bool | None]) -> list[Finding]:
    """Return the findings on the claims that are made, and the contrary of those on the claims that are denied.

    Args:
        made: Findings by their claim.
        says: Returns True for a claim that is made, False for one that is denied, None for one left out.
    """
    return [
        finding if made_ else finding._replace(verdict=DENIED[finding.verdict])
        for claim, finding in made.items()
        if (made_ := says(claim)) is not None
    ]


DENIED: dict[Word, Word] = {"confirmed": "violated", "violated": "confirmed", "inconclusive": "inconclusive"}
"""The verdict on the contrary of a claim, by the verdict on the claim."""


def verdict_of(findings: Iterable[list[Finding]]) -> Verdict:
    """Return one verdict for all findings, which come as a list for each file."""
    return together(Verdict(finding.verdict) for some in findings for finding in some)


def count(findings: Iterable[list[Finding]]) -> str:
    """Return how many findings are confirmed and how many are inconclusive."""
    verdicts = [finding.verdict for some in findings for finding in some]
    return f"{verdicts.count('confirmed')} of {len(verdicts)} confirmed, {verdicts.count('inconclusive')} inconclusive"


def table_of(found: Mapping[str, Mapping[str, Finding]]) -> Table:
    """Return a table with a row for each claim and a column for each file."""
    claims = dict.fromkeys(claim for findings in found.values() for claim in findings)
    rows = [[claim, *(_cell(findings.get(claim)) for findings in found.values())] for claim in claims]
    return Table(["ratio of final gaps", *found], rows)


def _cell(finding: Finding | None) -> str:
    """Return the cell of a finding, or a dash where there is none."""
    if finding is None:
        return "–"
    return f"{finding.verdict}: {'diverged' if finding.diverged else finding.evidence}"
