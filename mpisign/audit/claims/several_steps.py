"""Judge what several steps of Theorem 1 can leave of the gap, which is less than (16)."""

from fractions import Fraction

from mpisign.audit.claims.claim import Claim, Results, Verdict
from mpisign.theory.worst_case import best_step, gap_ratio, repeated, repeated_instance, two_steps, without_zeros

_MU, _EPSILON = Fraction(1, 10), Fraction(1, 1000)
"""mu/L and the small entry of H in the example."""


def several_steps(results: Results) -> Claim:
    """Judge it by its argument, with an example in fractions; it needs no run."""
    matrix, start = repeated_instance(_MU, _EPSILON)
    left = gap_ratio(matrix, start, Fraction(1), 2)
    mu = matrix[0][0] - matrix[0][1] ** 2 / matrix[1][1]
    squared = (1 - mu) ** 2
    known = float(_MU)
    best = best_step(known, 1.0)
    return Claim(
        id="beyond-several-steps",
        title="Theorem 1 beyond one step",
        equation="(16)",
        statement="If μ < L, two steps leave less than ζ² under Assumptions 1 and 3, in every dimension. For d = 2 and "
        "μ < L/2 the worst case of k steps is at least ζ(1−αμ)^{2(k−1)}.",
        verdict=Verdict.PROVED if left < squared else Verdict.INCONCLUSIVE,
        rests_on="the argument; an example in fractions",
        argument="If (16) is an equality twice, x_{1} − x* is so small on the coordinates where g_{0} is not 0 that "
        "g_{1} is 0 there, and then ‖g_{1} − g_{0}‖_{1} is more than Assumption 3 allows. While one entry alone is "
        "not 0 a step is one of GD, with (1−αμ)²; a last step in which another entry is no longer 0 has ζ.",
        printed=False,
        tested_on="docs/audit/beyond-one-step.md and mpisign.theory.worst_case; no job",
        evidence=[
            f"H = ((1/10, 1/1000), (1/1000, 449/500)), L = alpha = 1, x_0 = (449/500, -1/1000): V_2/V_0 = "
            f"{float(left):.6g} < zeta^2 = {float(squared):.6g}, both exact fractions; the limit is "
            f"{repeated(2, known, 1.0, 1.0):.6g}, and {without_zeros(known, 1.0, 1.0):.6g} where no entry of g is 0",
            f"at L alpha = {best:.4f} two steps leave at least {two_steps(known, 1.0, best):.6g}",
            "that this is all for L alpha <= 1 is not proved: searches under necessary conditions, k = 2 and 3, found "
            "nothing above it",
        ],
    )
