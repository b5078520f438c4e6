"""Judge every claim of the paper on the trajectory files that there are.

Each claim is a function of these files, in the module of its section.
"""

from collections.abc import Callable, Sequence

from mpisign.audit.claims.appendix import proposition_1, proposition_1_gradient, proposition_2, proposition_2_gradient
from mpisign.audit.claims.beyond import covariance, crossing, fewer_bits, flips, how_many, ties
from mpisign.audit.claims.claim import UNDECIDED, Claim, Results, Verdict
from mpisign.audit.claims.cut_short import Asked, weighed
from mpisign.audit.claims.remarks import (
    contribution_error,
    contribution_rate,
    remark_2,
    remark_3,
    remark_4,
    remark_5,
    remark_6,
)
from mpisign.audit.claims.section2 import example_1, example_2, example_3
from mpisign.audit.claims.section3 import theorem_1_1, theorem_1_2, theorem_1_3, theorem_2_1, theorem_2_2
from mpisign.audit.claims.section4 import remark_7, theorem_3
from mpisign.audit.claims.section5 import figure_1, figure_2, figure_2a, figure_2b, figure_3
from mpisign.audit.claims.worst_cases import least_floor, several_steps
from mpisign.config.registry import Registry
from mpisign.config.validation import InputError

PARTS: dict[str, tuple[Callable[[Results], Claim], ...]] = {
    "Section I: contributions": (contribution_error, contribution_rate),
    "Section II: counterexamples": (example_1, example_2, example_3),
    "Section III: one worker": (
        remark_2,
        theorem_1_1,
        theorem_1_2,
        theorem_1_3,
        remark_3,
        remark_4,
        remark_5,
        theorem_2_1,
        theorem_2_2,
        remark_6,
    ),
    "Section IV: many workers": (theorem_3, remark_7),
    "Section V: experiments": (figure_1, figure_2a, figure_2b, figure_2, figure_3),
    "Appendix A: continuous time": (
        proposition_1,
        proposition_1_gradient,
        proposition_2,
        proposition_2_gradient,
    ),
    "Beyond the paper: findings of ours": (
        several_steps,
        least_floor,
        how_many,
        ties,
        covariance,
        flips,
        fewer_bits,
        crossing,
    ),
}
"""Every claim by the heading of its part, in the paper's order."""


CLAIMS: Registry[Claim] = Registry("claims", Claim)
"""Claims from elsewhere: functions of the results annotated to return a Claim, by entry point or dotted path."""


def entries(results: Results, also: Sequence[str] = ()) -> dict[str, list[Claim]]:
    """Judge every claim on the results.

    Args:
        results: Trajectory files by the name of their job.
        also: Dotted paths of further claims.

    Returns:
        The claims by the heading of their part, in the paper's order.

    Raises:
        InputError: If a further claim cannot be loaded.
    """
    try:
        others = tuple(CLAIMS[name] for name in (*CLAIMS, *also))
    except InputError as error:
        raise error.inside("--claim") from None
    parts = PARTS | ({"From elsewhere": others} if others else {})
    return {heading: [judged(make, results) for make in makers] for heading, makers in parts.items()}


def judged(make: Callable[[Results], Claim], results: Results) -> Claim:
    """Return one claim with its verdict.

    A claim whose files lack what it needs (a complete run, say) says so and is inconclusive.
    """
    asked = Asked(results)
    try:
        return _bare(weighed(make(asked), asked.files()))
    except InputError as error:
        # without results a claim is as stated, and reads no file
        entry = make({})
        right = entry.corrected_verdict and Verdict.INCONCLUSIVE
        return _bare(entry._replace(evidence=[str(error)], verdict=Verdict.INCONCLUSIVE, corrected_verdict=right))


def _bare(entry: Claim) -> Claim:
    """Return a claim without what its verdicts rest on, where these decide nothing."""
    return entry._replace(
        rests_on="" if entry.verdict in UNDECIDED else entry.rests_on,
        corrected_rests_on="" if entry.corrected_verdict in (None, *UNDECIDED) else entry.corrected_rests_on,
    )
