"""Judge Section IV: Theorem 3 and Remark 7."""

from mpisign.audit.bounds import BoundCheck
from mpisign.audit.claims.claim import Claim, Results
from mpisign.audit.claims.exact import refuted_by_recursion
from mpisign.audit.claims.from_bounds import judged, nearest, of
from mpisign.audit.claims.section3 import SHOWN, TIGHT, on_real_data

THEOREM_3 = Claim(
    id="theorem-3",
    title="Theorem 3",
    equation="(21)",
    statement="For M workers, A = 2I_{p}(κ,κ)−1 at p_{min} and 0 < α < A/L: "
    "E f(x_{k}) − f* ≤ ζ_{2}^{k}(f(x_{0}) − f*) + Lσ²α²/(1−ζ_{2}), ζ_{2} = 1 − 2μα(A−Lα).",
    corrected="With σ²/(4φ) added to Lσ²α, φ = (⌊M/2⌋+1)/M, which is less than σ²/2 (R2). Without p_{min}: C0 with "
    "(2/φ−1)²σ² in the place of σ², less than 9σ² (R3). As printed where the norms are independent of the signs, or "
    "the coordinates of each other (C4).",
    tested_on="jobs/x5.toml (X5), in fractions; jobs/ce-b.toml (CE-B): f = ‖x‖²/2, batch 1, p_{min} = 0.6 over "
    "g_{i} ≠ 0, M = 2 and 3 (0.2 if g_{i} = 0 is counted, where (21) says nothing); jobs/controls.toml: "
    "independent noise, M = 3 and 4; jobs/controls-tight.toml: E[M_{k} g'v] = A‖g‖_{1}², where (21) holds and is "
    "nearly reached; jobs/premise.toml",
    evidence=[],
    argument="In X5 a worker whose first sign is wrong has a large second coordinate, so that wrong votes come with "
    "long steps and x_{1} grows: E x_{1}' = (1+αr)E x_{1} up to U. Were (21) true for all j < k, E x_{1} would grow "
    "until (E x_{1})²/2 is above (21); p_{min} is the same under every reading.",
)


def theorem_3(results: Results) -> Claim:
    """Compare the mean gap's limits at twelve k with (21) on CE-B, and, corrected, with C0, C1 and (21)."""
    found = judged(THEOREM_3, results, ["ce-b", "controls", TIGHT], _coupled, _saved, drawn=SHOWN)
    near = nearest(results, TIGHT, of("theorem3", only="M = 3"))
    found = found._replace(evidence=[*found.evidence, *near, *on_real_data(results, of("theorem3", only="M = 3"))])
    return refuted_by_recursion(found, results)


def _coupled(job: str, row: BoundCheck) -> bool:
    """Choose (21) where the norms depend on the signs."""
    return job == "ce-b" and row.bound == "theorem3" and "decoupled" not in row.run


def _saved(job: str, row: BoundCheck) -> bool:
    """Choose C0-M and C1 everywhere, and (21) where norms are independent of the signs or coordinates of each other."""
    right = row.bound in ("theorem3", "theorem3_repaired", "floor_bound", "drift_bound") and not _coupled(job, row)
    return right and (job == "ce-b" or row.run in ("M = 3", "M = 4", "edge, M = 3"))


REMARK_7 = Claim(
    id="remark-7",
    title="Remark 7",
    equation="(20)",
    statement="For M workers the exact convergence of (20) can be shown in the same way.",
    corrected="C3 with the drift ρ, δ of M workers: δ = 0 and ρ = 2I_{p}(κ,κ)−1 for independent coordinates or norms; "
    "without them ρ is the same, and δ = σ²/(4φ), which does not vanish (R2).",
    tested_on="jobs/ce-b-harmonic.toml: CE-B, M = 3, A = 2I_{p}(κ,κ)−1 at p_{min} = 0.6, α_{k} = 3/(μA(k+400)), which "
    "overshoots nowhere, with what (20) leaves of V_{0} and σ² for such a shift; jobs/harmonic.toml: independent noise",
    evidence=[],
    argument="In CE-B a worker whose first sign is wrong has a large second coordinate, so that for x_{1} < v the mean "
    "of M_{k}v_{1} is at most 0.52x_{1} + 0.408|x_{2}| − 0.08: near the minimum x_{1} grows, by 0.08α_{k}. While "
    "E V_{k} ≤ 0.0014 it does on the average over the plane, so that Σα_{k} = ∞ would take E x_{1} beyond all bounds.",
)


def remark_7(results: Results) -> Claim:
    """Compare the mean gap's limits at twelve k with (20), shifted, on CE-B for M = 3, and, corrected, with C3."""
    return judged(REMARK_7, results, ["ce-b-harmonic", "harmonic"], _late, _saved_late, drawn=SHOWN)


def _late(job: str, row: BoundCheck) -> bool:
    """Choose (20) where the norms depend on the signs and no first step is too large."""
    return job == "ce-b-harmonic" and row.bound == "theorem2_harmonic" and "decoupled" not in row.run


def _saved_late(job: str, row: BoundCheck) -> bool:
    """Choose C3 with a certified drift, for M = 3 and its own step."""
    right = row.bound in ("harmonic_shifted", "theorem2_harmonic_repaired")
    return right and (job == "ce-b-harmonic" or row.run == "step of C3, M = 3")
