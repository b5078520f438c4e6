"""Judge Section IV: Theorem 3 and Remark 7."""

from mpisign.audit.bounds import BoundCheck
from mpisign.audit.claims.claim import Claim, Results
from mpisign.audit.claims.from_bounds import judged, of
from mpisign.audit.claims.section3 import SHOWN, on_real_data

THEOREM_3 = Claim(
    id="theorem-3",
    title="Theorem 3",
    equation="(21)",
    statement="For M workers, A = 2I_{p}(κ,κ)−1 at p_{min} and 0 < α < A/L: "
    "E f(x_{k}) − f* ≤ ζ_{2}^{k}(f(x_{0}) − f*) + Lσ²α²/(1−ζ_{2}), ζ_{2} = 1 − 2μα(A−Lα).",
    corrected="Without p_{min}: C0 with 25σ² in the place of σ² (C0-M). As printed where the norms are independent "
    "of the signs, or the coordinates of each other (C4).",
    tested_on="jobs/ce-b.toml (CE-B): f = ‖x‖²/2, batch 1, p_{min} = 0.6, M = 2 and 3; jobs/controls.toml: "
    "independent noise, M = 3 and 4; jobs/premise.toml",
    evidence=[],
)


def theorem_3(results: Results) -> Claim:
    """Compare the mean gap's limits at twelve k with (21) on CE-B, and, corrected, with C0, C1 and (21)."""
    found = judged(THEOREM_3, results, ["ce-b", "controls"], _coupled, _saved, drawn=SHOWN)
    return found._replace(evidence=[*found.evidence, *on_real_data(results, of("theorem3", only="M = 3"))])


def _coupled(job: str, row: BoundCheck) -> bool:
    """Choose (21) where the norms depend on the signs."""
    return job == "ce-b" and row.bound == "theorem3" and "decoupled" not in row.run


def _saved(job: str, row: BoundCheck) -> bool:
    """Choose C0-M and C1 everywhere, and (21) where norms are independent of the signs or coordinates of each other."""
    right = row.bound in ("theorem3", "floor_bound", "drift_bound") and not _coupled(job, row)
    return right and (job == "ce-b" or row.run in ("M = 3", "M = 4"))


REMARK_7 = Claim(
    id="remark-7",
    title="Remark 7",
    equation="(20)",
    statement="For M workers the exact convergence of (20) can be shown in the same way.",
    corrected="C3 with the drift ρ of M workers: for independent coordinates or norms ρ = 2I_{p}(κ,κ)−1.",
    tested_on="jobs/harmonic.toml: independent noise, M = 3, (20) with 2I_{p}(κ,κ)−1 in the place of 2p_{min}−1",
    evidence=[],
)


def remark_7(results: Results) -> Claim:
    """Compare the mean gap's limits at twelve k with (20) for M = 3, and, corrected, with C3."""
    return judged(
        REMARK_7,
        results,
        ["harmonic"],
        of("theorem2_harmonic", only="step of (20), M = 3"),
        of("harmonic_shifted", only="step of C3, M = 3"),
    )
