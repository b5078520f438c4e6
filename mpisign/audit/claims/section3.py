"""Judge Section III: Theorems 1 and 2."""

import numpy as np

from mpisign.audit.bounds import BoundCheck
from mpisign.audit.bounds.measurements import probes
from mpisign.audit.claims.claim import Claim, Results, beside
from mpisign.audit.claims.exact import refuted
from mpisign.audit.claims.from_bounds import Chosen, every_bound, judged, line, nearest, of
from mpisign.storage.trajectory import Trajectory

TIGHT = "controls-tight"
"""The job in which the printed bounds hold and are nearly reached."""
SHOWN = "Mean gap over the repeats with its limits (grey), printed bounds dashed, corrected ones dotted:"


THEOREM_1_1 = Claim(
    id="theorem-1-1",
    title="Theorem 1(1)",
    equation="(16)",
    statement="For strongly convex, smooth f and 0 < α < 2/L, scaled signGD has "
    "f(x_{k}) − f* ≤ ζ^{k}(f(x_{0}) − f*), ζ = 1 − 2μα(1 − Lα/2).",
    tested_on="jobs/theorem1.toml: a correlated quadratic, Lα from 0.1 to 2.1, every record of 20 starts",
    evidence=[],
)


def theorem_1_1(results: Results) -> Claim:
    """Compare every record of every start with (16)."""
    return judged(THEOREM_1_1, results, ["theorem1"], of("theorem1"), drawn=SHOWN)


THEOREM_1_2 = Claim(
    id="theorem-1-2",
    title="Theorem 1(2)",
    equation="(16)",
    statement="The same under the PL inequality ‖g‖_{1}² ≥ 2μ(f − f*) in the place of strong convexity.",
    tested_on="jobs/theorem1-singular.toml: a quadratic of rank 2 in five dimensions; "
    "jobs/theorem1-nonconvex.toml: Example 4's function in four coordinates with different frequencies",
    evidence=[],
)


def theorem_1_2(results: Results) -> Claim:
    """Compare every record of every start with (16), under the PL inequality alone."""
    return judged(THEOREM_1_2, results, ["theorem1-singular", "theorem1-nonconvex"], of("theorem1"))


THEOREM_1_3 = Claim(
    id="theorem-1-3",
    title="Theorem 1(3)",
    equation="(17)",
    statement="For smooth f alone: min over l ≤ k of ‖g_{l}‖_{1}² ≤ (f(x_{0}) − f*) / (γ(k+1)), γ = α(1 − Lα/2).",
    tested_on="jobs/theorem1-smooth.toml: logistic loss on breast-cancer with the nonconvex regulariser "
    "0.1 Σ x_{i}²/(1+x_{i}²); jobs/theorem1.toml. It needs 0 < α < 2/L and f bounded from below, which is not said",
    evidence=[],
)


def theorem_1_3(results: Results) -> Claim:
    """Compare the least ||g_l||_1^2 over l <= k of every start with (17), by `bounds.judge_least`."""
    return judged(THEOREM_1_3, results, ["theorem1-smooth", "theorem1"], of("theorem1_gradient"))


THEOREM_2_1 = Claim(
    id="theorem-2-1",
    title="Theorem 2(1)",
    equation="(19)",
    statement="With a constant 0 < α < (2p_{min}−1)/L: E f(x_{k}) − f* ≤ ζ_{1}^{k}(f(x_{0}) − f*) + "
    "Lσ²α / (2μ(2p_{min}−1−Lα)).",
    corrected="With σ²/4 added to Lσ²α (R1), and without p_{min}: E V_{k} ≤ (1−μαθ)^{k} V_{0} + σ²/(2μθ²), "
    "θ = 1 − Lα/2 (C0). As printed where the norm is independent of the signs (a second draw) or the coordinates of "
    "each other (C1, C2), and wherever E[N g's] ≥ (2p_{min}−1)‖g‖_{1}².",
    tested_on="jobs/x1.toml (X1), in fractions; jobs/ce-a.toml (CE-A): f = ‖x‖²/2, ten data points, batch 1, "
    "p_{min} = 0.8 over g_{i} ≠ 0 and 0.6 over all i; jobs/controls.toml: independent noise; jobs/controls-tight.toml: "
    "E[N g's] = (2p_{min}−1)‖g‖_{1}², and one dimension, where (19) holds and is nearly reached; jobs/premise.toml",
    evidence=[],
    argument="In X1 the gradient is large only where its two signs are (+, −) or (−, +), and then u = (x_{1}+x_{2})/2 "
    "does not move. So E V_{k} = V_{0}(3/10 + 7/10 (24999/25000)²)^{k} hardly falls, while (19) falls by "
    "608/625 an iteration.",
)


def theorem_2_1(results: Results) -> Claim:
    """Compare the mean gap's limits at twelve k with (19) on CE-A, and, corrected, with C0, C1 and (19)."""
    found = judged(THEOREM_2_1, results, ["ce-a", "controls", TIGHT], _coupled, _saved, drawn=SHOWN)
    drifts, refused = beside(results, "ce-a", drift_at_start)
    near = nearest(results, TIGHT, of("theorem2"))
    found = found._replace(evidence=[*drifts, *refused, *found.evidence, *near, *on_real_data(results, of("theorem2"))])
    return refuted(found, results, "x1", "theorem2", "(19)")


def on_real_data(results: Results, chosen: Chosen) -> list[str]:
    """Return a line on each of these bounds in jobs/premise.toml, and why a file of it was refused."""
    files, refused = beside(results, "premise", every_bound)
    real = [row for found in files for row in found if chosen("premise", row)]
    return [*(f"on real data, breast-cancer: {line(row)}" for row in real), *refused]


def _coupled(job: str, row: BoundCheck) -> bool:
    """Choose (19) where the norm depends on the signs."""
    return job == "ce-a" and row.bound == "theorem2" and "decoupled" not in row.run


def _saved(job: str, row: BoundCheck) -> bool:
    """Choose C0 and C1 everywhere, and (19) where the norm is independent of signs or the coordinates of each other."""
    right = row.bound in ("theorem2", "theorem2_repaired", "floor_bound", "drift_bound") and not _coupled(job, row)
    return right and (job == "ce-a" or row.run in ("M = 1", "edge, M = 1", "one coordinate"))


def drift_at_start(file: Trajectory) -> str:
    """Return a line on the drift that the proof's (35) needs at x_0, and on what it is, both counted over the data.

    Raises:
        InputError: If the job's data is missing.
    """
    run = file.runs[0]
    probe = probes(file, run, 0.05)[0]
    granted = float(run.attributes["p_min"] * 2 - 1) * float(np.abs(probe.gradient).sum()) ** 2
    return (
        f"at x_0 the drift E[N g's] is {probe.drift[0]:.6g}, counted over all data points; (35) needs at least "
        f"(2 p_min - 1) ||g||_1^2 = {granted:.6g}"
    )


THEOREM_2_2 = Claim(
    id="theorem-2-2",
    title="Theorem 2(2)",
    equation="(20)",
    statement="With α_{k} = 3/(μ(2p_{min}−1)(k+1)): E f(x_{k}) − f* ≤ 9Lσ²/(μ²(2p_{min}−1)²) (32/k + 1/k²) + "
    "(f(x_{0}) − f*)/(k+1)³.",
    corrected="With a drift ρ, δ (C1) and α_{k} = 3/(μρ(k+k_{0})), k_{0} ≥ 6L/(μρ²): E V_{k} ≤ "
    "(k_{0}/(k+k_{0}))³V_{0} + (1+1/k_{0})³(9Lσ²/(2μ²ρ²(k+k_{0})) + δ/(μρ)) (C3); δ = σ²/4 without any independence.",
    tested_on="jobs/x4.toml (X4), in fractions; jobs/ce-a-harmonic.toml: CE-A, where f stays near 0.02; "
    "jobs/harmonic.toml: independent noise, where the first steps throw x far away",
    evidence=[],
    argument="With d = 1 and no noise α_{0} = 3/μ takes x_{0} to −2x_{0}, so that V_{1} = 4V_{0}. (20) has V_{0}/8 + "
    "297σ² there, and any σ² below 31V_{0}/2376 is allowed.",
)


def theorem_2_2(results: Results) -> Claim:
    """Compare the mean gap's limits at twelve k with (20), and, corrected, with C3."""
    found = judged(
        THEOREM_2_2,
        results,
        ["ce-a-harmonic", "harmonic"],
        of("theorem2_harmonic", only="step of (20)", but="M = 3"),
        of("harmonic_shifted", "theorem2_harmonic_repaired", only="step of C3", but="M = 3"),
        drawn=SHOWN,
    )
    return refuted(found, results, "x4", "theorem2_harmonic", "(20)")
