"""Judge findings on worst cases: several steps of Theorem 1, and the floor of Theorems 2 and 3."""

from fractions import Fraction

from mpisign.audit.claims.claim import Claim, Drawing, Results, Verdict, beside
from mpisign.audit.figures.beyond import sharpness
from mpisign.storage.trajectory import Trajectory
from mpisign.theory.extremal.worst_case import (
    best_step,
    gap_ratio,
    repeated,
    repeated_instance,
    two_steps,
    without_zeros,
)

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
        tested_on="docs/audit/beyond-one-step.md and mpisign.theory.extremal.worst_case; no job",
        evidence=[
            f"H = ((1/10, 1/1000), (1/1000, 449/500)), L = alpha = 1, x_0 = (449/500, -1/1000): V_2/V_0 = "
            f"{float(left):.6g} < zeta^2 = {float(squared):.6g}, both exact fractions; the limit is "
            f"{repeated(2, known, 1.0, 1.0):.6g}, and {without_zeros(known, 1.0, 1.0):.6g} where no entry of g is 0",
            f"at L alpha = {best:.4f} two steps leave at least {two_steps(known, 1.0, best):.6g}",
            "that this is all for L alpha <= 1 is not proved: searches under necessary conditions, k = 2 and 3, found "
            "nothing above it",
        ],
    )


def least_floor(results: Results) -> Claim:
    """Compare the floor of R4 with linear programs, and with what CE-A and CE-B measured where they were run."""
    rows, refused = beside(results, "ce-a", _measured_floors)
    more, also = beside(results, "ce-b", _measured_floors)
    every = [row for some in (*rows, *more) for row in some]
    return Claim(
        id="beyond-sharpness",
        title="The least floor that p_min and σ² allow",
        equation="",
        statement="With e = 1 − p_{min}, the residual that is left as α → 0 can be, for one worker, up to "
        "σ^{2}/(8μp_{min}^{2}), or 2e p_{min}σ^{2}/(μ(1 + 4e p_{min})) for p_{min} > 0.809, and no more; for three "
        "workers it is 0 for p_{min} > 0.7071.",
        printed=False,
        verdict=Verdict.PROVED,
        rests_on="both directions by hand; linear programs agree",
        argument="With M = 1, G = ‖g‖_{1} = 1 and W the share of g that is not right, σ^{2} ≥ E(N − 1 + 2W)^{2}, which "
        "is at least 8E NW − 4e E N − 8(1 − e)E W + 4e(1 − e), as the difference is a square, so that D is at least "
        "p_{min}^{2} − σ^{2}/4. There is equality for N = 1 − 2e + 2W and E W = e, and where D is slightly below 0 f "
        "does not fall.",
        tested_on="analysis/sharpness.py: linear programs over the laws of a stochastic gradient with 12 equal "
        "coordinates, and examples; jobs/ce-a.toml and jobs/ce-b.toml",
        evidence=[*sharpness.findings()[1:], *sharpness.measured_lines(every), *refused, *also],
        figures=[
            Drawing(
                "Floors against p_min for one worker and for three, and the counterexamples.",
                "The sharp bound below the repaired one, with linear programs on it; and measured floors below both.",
                lambda: sharpness.draw(every),
            )
        ],
    )


def _measured_floors(file: Trajectory) -> list[sharpness.Floors]:
    """Return the floors of a file's runs beside each bound."""
    return sharpness.of_files([file])
