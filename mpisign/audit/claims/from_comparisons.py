"""Turn comparisons into a claim's verdict, evidence and table: ratios of final gaps, and means beside theory."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import scipy.stats

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


RESOLUTION = 0.1
"""A measured advantage or drift, of at most 1, confirms theory when it is known to this. It is half of 2p - 1, what one
worker is worth, for p = 0.6, the least p of these jobs: what is known less well may be nothing, or twice as much."""


def joint(samples: list[np.ndarray]) -> np.ndarray:
    """Return half-widths of Student's intervals for the means, at 95 % for all together (Bonferroni).

    Args:
        samples: m arrays of shape (n,).

    Returns:
        Half-widths, shape (m,).
    """
    tail = 0.025 / len(samples)
    return np.array([scipy.stats.t.isf(tail, len(some) - 1) * scipy.stats.sem(some) for some in samples])


def agree(samples: list[np.ndarray], theory: list[float]) -> Verdict:
    """Return the verdict on theoretical means of samples.

    It is violated where one is outside of its interval by `joint`, and confirmed when every interval is as narrow as
    RESOLUTION. An interval of width 0 comes from too few draws to have one, and decides nothing.

    Args:
        samples: m arrays of shape (n,).
        theory: The m means by theory.
    """
    half, means = joint(samples), np.array([some.mean() for some in samples])
    if (np.abs(means - theory) > np.where(half > 0, half, np.inf)).any():
        return Verdict.VIOLATED
    known = (half > 0) & (half <= RESOLUTION)
    return Verdict.CONFIRMED if known.all() else Verdict.INCONCLUSIVE


def widest(samples: list[np.ndarray]) -> str:
    """Return a line of evidence on how well all means are known together."""
    half = joint(samples)
    said = f"at 95 % for all {len(samples)} together the half-widths are {half.min():.3g} to {half.max():.3g}"
    return f"{said}; what is confirmed has them above 0 and at most {RESOLUTION:g}"


def draws(samples: list[np.ndarray]) -> str:
    """Return how many draws at how many points a verdict rests on."""
    return f"{sum(map(len, samples))} draws at {len(samples)} points, 95 % for all"
