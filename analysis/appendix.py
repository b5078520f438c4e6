"""The ledger's entries on Appendix A: the flows (22) and (23). They need no trajectory file."""

import flows
from entry import Drawing, Entry, Results, confirmed_if


def proposition_1(results: Results) -> Entry:
    known = flows.of_chain()
    return Entry(
        id="proposition-1-1",
        title="Proposition 1(1)",
        equation="",
        statement="For convex f, along (22): V(t) ≤ D_{1}²V(0) / (D_{1}² + V(0)βt).",
        verdict=confirmed_if(flows.held(known)[0]),
        tested_on="analysis/flows.py: a quadratic in eight coordinates, H_{ij} = 0.8^{|i−j|}, solved exactly",
        evidence=flows.findings(known)[1:],
        figures=[
            Drawing(
                "Left: (22) and (23) in a plane. Right: V(t) along (22), (23) and normalised GD, with both bounds.",
                "Two paths into a minimum, one of straight pieces; and gaps against time under their bounds.",
                lambda: flows.draw(known),
            )
        ],
    )


def proposition_2(results: Results) -> Entry:
    known = flows.of_chain()
    return Entry(
        id="proposition-2-1",
        title="Proposition 2(1)",
        equation="",
        statement="For convex f, along (23): V(t) ≤ V(0) exp(−βt/D_{2}).",
        verdict=confirmed_if(flows.held(known)[1]),
        tested_on="the same flow, in Filippov's sense",
        evidence=[f"D_2 = {known.D2:.4f}; at the minimum by T = {known.extinction:.4f} (figure of Proposition 1)"],
    )
