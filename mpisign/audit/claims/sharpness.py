"""Judge how sharp the repaired Theorems 2 and 3 are: the least floor that p_min and sigma^2 allow."""

from mpisign.audit.claims.claim import Claim, Drawing, Results, Verdict, beside
from mpisign.audit.figures.beyond import sharpness
from mpisign.storage.trajectory import Trajectory


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
