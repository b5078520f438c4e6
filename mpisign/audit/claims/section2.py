"""Judge Section II: signGD and the sign variants of AdaGrad-Norm do not converge linearly."""

import numpy as np

from mpisign.audit.claims.claim import (
    Claim,
    Results,
    Verdict,
    confirmed_if,
    figures,
    files_of,
    lines,
    not_run,
    together,
)
from mpisign.audit.figures.figure import chosen
from mpisign.audit.figures.paper import example1, example2, example3
from mpisign.storage.trajectory import Trajectory

EXAMPLE_1 = Claim(
    id="example-1",
    title="Example 1",
    equation="(4)",
    statement="signGD (2) on f = x_{1}² + x_{2}² from x_{0} = (α/2, α/2) does not converge: it jumps between two "
    "points, printed as x_{2l} = −(α/2, α/2) and x_{2l+1} = +(α/2, α/2).",
    corrected="The parity is the other one: x_{2l} = x_{0} = +(α/2, α/2), x_{2l+1} = −x_{0}. "
    "From a start on the lattice αℤ² signGD does converge, in finitely many steps.",
    corrected_verdict=Verdict.NOT_RUN,
    tested_on="jobs/example1.toml: three starts, α = 1/4, 24 iterations",
    evidence=not_run("example1"),
)


def example_1(results: Results) -> Claim:
    """Look whether x_k jumps between two points from the paper's start; corrected, also x_K = 0 from the lattice."""
    files = files_of(results, "example1")
    if not files:
        return EXAMPLE_1
    paper = [x for file in files for x in example1.from_the_paper(file)]
    lattice = [x for file in files for x in example1.from_the_lattice(file)]
    found = [*map(example1.alternates, paper), *(not x[-1].any() for x in lattice)]
    return EXAMPLE_1._replace(
        verdict=together(confirmed_if(example1.alternates(x)) for x in paper),
        rests_on="24 iterations; the two points are printed in the wrong order",
        corrected_verdict=together(map(confirmed_if, found)) if paper and lattice else Verdict.INCONCLUSIVE,
        evidence=lines(files, example1.findings),
        figures=figures(
            files,
            example1.draw,
            "Left: the orbits in the plane, in units of α. Right: distance to the minimum. One start reaches it; the "
            "others end in a cycle of two points.",
            "Orbits of signGD from three starts: a jump between two opposite points, a path into the minimum, and a "
            "path into a cycle of two.",
        ),
    )


EXAMPLE_2 = Claim(
    id="example-2",
    title="Example 2",
    equation="(6), (7)",
    statement="On f = x²/2 with b_{0} = 0 the first sign variant of AdaGrad-Norm (6) is in general not linearly "
    "convergent, while AdaGrad-Norm (5) is.",
    corrected="So it is from every start whose orbit never hits 0 (x_{0} = ±√η does, in one step): "
    "max(|x_{k}|, |x_{k+1}|) ≥ η / (2b_{k+1}), with b_{k}² ≈ η√k, so that f falls as 1/√k.",
    corrected_verdict=Verdict.NOT_RUN,
    tested_on="jobs/example2.toml: (5) and (6) in float64; (6) with 120 digits from the same start",
    rests_on="120 digits, every k",
    corrected_rests_on="120 digits, every k",
    evidence=not_run("example2"),
)


def example_2(results: Results) -> Claim:
    """Compare max(|x_k|, |x_{k+1}|) with eta/(2 b_{k+1}).

    The printed claim also needs the rate of (5), the corrected one that of f, and x_1 from +-sqrt(eta).
    """
    files = files_of(results, "example2")
    if not files:
        return EXAMPLE_2
    runs = [example2.recursion(file) for file in files]
    slow = confirmed_if(all(example2.least_pair(eta, exact, squares) >= 1 for eta, _, exact, squares in runs))
    rate = confirmed_if(all(np.abs(exponents(exact) + 0.5).max() <= 0.05 for _, _, exact, _ in runs))
    return EXAMPLE_2._replace(
        verdict=together([slow, *map(adagrad_norm, files)]),
        corrected_verdict=together([slow, rate, *map(hits_zero, files)]),
        evidence=lines(files, example2.findings),
        figures=figures(
            files,
            example2.draw,
            "(6) with 120 digits and in float64: the iterates, b_{k}² against η√k, the rate of f, and where float64 "
            "leaves the recursion.",
            "Four panels on logarithmic axes: iterates that fall as a power of k, their sum of squares on the "
            "line η√k, f between two lines of slope −1/2, and the error of float64 rising to order one.",
        ),
    )


def exponents(exact: np.ndarray) -> np.ndarray:
    """Return the exponent of k in the largest and in the mean f over blocks of k.

    Within a tenth of -1/2 it is 1/sqrt(k).
    """
    k, largest, mean = example2.dyadic(exact**2 / 2)
    return np.array([example2.exponent(k, largest), example2.exponent(k, mean)])


def adagrad_norm(file: Trajectory) -> Verdict:
    """Return whether (5) is linear, from the file's first start."""
    run = chosen(file, "adagrad-norm")
    return linear(run.gap(run.finished()[0]))


def hits_zero(file: Trajectory) -> Verdict:
    """Return whether (6) is at 0 from k = 1 on from each x_0 = +-sqrt(eta) that was run."""
    runs = [run for run in file if run.attributes["method"] == "sign-adagrad-norm"]
    starts = [(run.attributes["step.alpha"], repeat.columns["x"]) for run in runs for repeat in run.finished()]
    return together(confirmed_if(not x[1:].any()) for eta, x in starts if np.isclose(x[0, 0] ** 2, eta))


EXAMPLE_3 = Claim(
    id="example-3",
    title="Example 3",
    equation="(10)",
    statement="On f = x² from x_{0} = η/2 the second sign variant (9) has x_{k} = η(1/2 − 1 + 1/√2 − 1/√3 + … + "
    "(−1)^{k}/√k).",
    corrected="(9) is (11), x_{k+1} = x_{k} − η sign(x_{k})/√(k+1), which leaves (10) at k = 25; it is sublinear: "
    "η/(2√(k+1)) ≤ max(|x_{k}|, |x_{k+1}|) and |x_{k}| ≤ η/√k.",
    corrected_verdict=Verdict.NOT_RUN,
    tested_on="jobs/example3.toml: η = 1, 4000 iterations in float64; (11) with 120 digits",
    rests_on="120 digits, k = 25",
    corrected_rests_on="120 digits, every k",
    evidence=not_run("example3"),
)


def example_3(results: Results) -> Claim:
    """Find the first k where (10) and (11) differ, and, corrected, compare |x_k| of (11) with both its bounds."""
    files = files_of(results, "example3")
    if not files:
        return EXAMPLE_3
    runs = [example3.recursion(file) for file in files]
    return EXAMPLE_3._replace(
        verdict=confirmed_if(all(example3.parting(formula, exact) < 0 for _, _, exact, formula in runs)),
        corrected_verdict=confirmed_if(all(all(example3.within(eta, exact)) for eta, _, exact, _ in runs)),
        evidence=lines(files, example3.findings),
        figures=figures(
            files,
            example3.draw,
            "Formula (10) beside the dynamics (11); the bounds on (11); and where float64 leaves (11).",
            "Three panels: formula and dynamics agree up to k = 24 and then part; iterates between two lines of slope "
            "−1/2; the error of float64.",
        ),
    )


SMALLEST = 1e-250
"""Gap above which float64 has its full accuracy."""
STEADY = 0.1
"""Relative change of the rate that is allowed.

If a gap falls like a power of k, its rate in the last quarter of k is 0.71 of that in the quarter before, whatever the
power.
"""


def linear(gap: np.ndarray) -> Verdict:
    """Return whether a gap falls like q^k, q < 1: log q is the same in the last two quarters of k.

    Only the first part of the gap, above SMALLEST, is used; fewer than 20 k of it are inconclusive.

    Args:
        gap: The gap at every k, shape (n,).
    """
    end = int((gap > SMALLEST).cumprod().sum())
    if end < 20:
        return Verdict.INCONCLUSIVE
    k = np.array([end // 2, 3 * end // 4, end - 1])
    early, late = np.diff(np.log(gap[k])) / np.diff(k)
    return confirmed_if(early < 0 and abs(late / early - 1) <= STEADY)
