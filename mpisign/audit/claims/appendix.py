"""Judge the claims of Appendix A, on the flows (22) and (23), which need no trajectory file."""

import numpy as np

from mpisign.audit.claims.claim import Claim, Drawing, Results, confirmed_if
from mpisign.audit.figures.paper import flows
from mpisign.theory.bounds import proposition1_gradient, proposition2_gradient


def proposition_1(results: Results) -> Claim:
    """Compare V(t) along (22), solved exactly, with its bound at every t."""
    known = flows.of_chain()
    return Claim(
        id="proposition-1-1",
        title="Proposition 1(1)",
        equation="",
        statement="For convex f, along (22): V(t) ≤ D_{1}²V(0) / (D_{1}² + V(0)βt).",
        verdict=confirmed_if(flows.held(known)[0]),
        tested_on="analysis/flows.py: a quadratic in eight coordinates, H_{ij} = 0.8^{|i−j|}, and Huber's function, "
        "x²/2 up to |x| = 0.01 and linear beyond, from x_{0} = 1; both solved exactly",
        rests_on="every t of two flows, solved exactly",
        evidence=flows.findings(known)[1:],
        figures=[
            Drawing(
                "Left: (22) and (23) in a plane. Right: V(t) along (22), (23) and normalised GD, with both bounds.",
                "Two paths into a minimum, one of straight pieces; and gaps against time under their bounds.",
                lambda: flows.draw(known),
            )
        ],
    )


def proposition_2(results: Results) -> Claim:
    """Compare V(t) along (23), solved exactly, with its bound at every t."""
    known = flows.of_chain()
    return Claim(
        id="proposition-2-1",
        title="Proposition 2(1)",
        equation="",
        statement="For convex f, along (23): V(t) ≤ V(0) exp(−βt/D_{2}).",
        verdict=confirmed_if(flows.held(known)[1]),
        tested_on="the same flow, in Filippov's sense",
        rests_on="every t of one flow, solved exactly",
        evidence=[f"D_2 = {known.D2:.4f}; at the minimum by T = {known.extinction:.4f} (figure of Proposition 1)"],
    )


def proposition_1_gradient(results: Results) -> Claim:
    """Compare the least ||grad f||_2 along (22) with its bound at every t."""
    t, least, _, gap0 = flows.on_line()
    bound = proposition1_gradient(t, gap0, beta=flows.BETA)
    return Claim(
        id="proposition-1-2",
        title="Proposition 1(2)",
        equation="",
        statement="For any f, along (22): min over s ≤ t of ‖∇f(x(s))‖_{2} ≤ √(V(0)/(βt)).",
        verdict=confirmed_if(bool((least <= bound).all())),
        tested_on="analysis/flows.py: (22) on Example 4's f, not convex, from x_{0} = 3, by DOP853 to 1e-12",
        rests_on="every t of one flow, to 1e-12",
        evidence=[_nearest(t, least, bound)],
    )


def proposition_2_gradient(results: Results) -> Claim:
    """Compare the least ||grad f||_1 along (23) with its bound at every t."""
    t, _, least, gap0 = flows.on_line()
    bound = proposition2_gradient(t, gap0, beta=flows.BETA)
    return Claim(
        id="proposition-2-2",
        title="Proposition 2(2)",
        equation="",
        statement="For any f, along (23): min over s ≤ t of ‖∇f(x(s))‖_{1} ≤ V(0)/(βt).",
        verdict=confirmed_if(bool((least <= bound).all())),
        tested_on="analysis/flows.py: (23) on Example 4's f, not convex, from x_{0} = 3, exactly",
        rests_on="every t of one flow, solved exactly",
        evidence=[_nearest(t, least, bound)],
    )


def _nearest(t: np.ndarray, least: np.ndarray, bound: np.ndarray) -> str:
    """Return a line that says where the bound is closest."""
    i = int((least / bound).argmax())
    return f"nearest at t = {t[i]:.4g}: {least[i]:.6g} beside {bound[i]:.6g}; {len(t)} times up to {t[-1]:g}"
