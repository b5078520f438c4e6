"""Draw Example 3: the second sign variant of AdaGrad-Norm, (9), on f(x) = x^2, by formula (10) and dynamics (11).

float64 (the trajectory file) is shown beside the same recursion with 120 digits.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpisign.audit.figures.figure import above, chosen, remark
from mpisign.audit.figures.paper.example2 import draw_parting, first, parting_in_words
from mpisign.storage.trajectory import Trajectory
from mpisign.theory.recursions import limit_of_printed_formula, printed_formula, subgradient_of_modulus

_SHOWN = 60
"""Number of iterations of (10) that are drawn."""
_LEAST = 2
"""Least number of iterations that the bounds need."""


def parting(formula: np.ndarray, exact: np.ndarray) -> int:
    """Return the first k at which (10) and (11) differ by more than rounding; -1 if none."""
    return first(np.abs(formula - exact) > 1e-9)


def draw_formula(axes: Axes, formula: np.ndarray, exact: np.ndarray, limit: float) -> None:
    """Draw the first x_k of (10) and (11), the limit of (10), and a line where the two part."""
    axes.plot(exact[: _SHOWN + 1], "o-", ms=3, lw=0.8, color="C0", label="dynamics (11)")
    axes.plot(formula[: _SHOWN + 1], "x", ms=4, color="C1", ls="none", label="formula (10)")
    axes.axhline(limit, color="0.3", lw=1, ls="--", label=f"limit of (10): {limit:.5f}")
    if parting(formula, exact) >= 0:
        axes.axvline(parting(formula, exact), color="0.6", lw=1, ls=":")
    axes.set(xlabel="iterations k", ylabel="$x_k$")
    above(axes, ncols=2)


def draw_bounds(axes: Axes, exact: np.ndarray, eta: float) -> None:
    """Draw |x_k| <= eta / sqrt(k), solid; max(|x_k|, |x_{k+1}|) >= eta / (2 sqrt(k + 1)), dashed."""
    k = np.arange(1, len(exact) - 1)
    larger = np.maximum(np.abs(exact[1:-1]), np.abs(exact[2:]))
    axes.plot(k, np.abs(exact[1:-1]), ls="", marker=".", ms=1, color="0.6", rasterized=True, label="$|x_k|$")
    axes.plot(k, larger, ls="", marker=".", ms=1, color="C0", rasterized=True, label="max$(|x_k|, |x_{k+1}|)$")
    axes.plot(k, eta / np.sqrt(k), "k-", lw=1, label=r"$\eta / \sqrt{k}$")
    axes.plot(k, eta / (2 * np.sqrt(k + 1)), "k--", lw=1, label=r"$\eta / (2\sqrt{k+1})$")
    axes.set(xscale="log", yscale="log", xlabel="iterations k", ylabel="$|x_k|$", ylim=(1e-7, 2))
    above(axes, ncols=2, markerscale=8)


def recursion(trajectory: Trajectory) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Return eta, x_k in float64 as run, (11) with 120 digits from the same start, and (10)."""
    run = chosen(trajectory, "sign-adagrad-count", _LEAST)
    eta, x = float(run.attributes["step.alpha"]), run.finished()[0].columns["x"][:, 0]
    return eta, x, subgradient_of_modulus(float(x[0]), eta, len(x) - 1), printed_formula(eta, len(x) - 1)


def draw(trajectory: Trajectory) -> Figure:
    """Draw formula and dynamics, bounds, and where float64 leaves the dynamics."""
    eta, x, exact, formula = recursion(trajectory)
    figure, axes = plt.subplots(1, 3, figsize=(11.0, 4.0))
    draw_formula(axes[0], formula, exact, limit_of_printed_formula(eta))
    draw_bounds(axes[1], exact, eta)
    draw_parting(axes[2], x, exact)
    part = parting(formula, exact)
    ends = f"ends at k = {part - 1}" if part >= 0 else f"is so until k = {len(exact) - 1}"
    remark(
        figure,
        f"(10) takes sign(x_k) = (-1)^k, which {ends}; (11) is what (9) "
        "does, and f is of the order 1/k along a subsequence: sublinear.",
    )
    return figure


def extremes(eta: float, exact: np.ndarray) -> tuple[float, float]:
    """Return the largest |x_k| sqrt(k) / eta and the least max(|x_k|, |x_{k+1}|) 2 sqrt(k+1) / eta.

    By proof the first is at most 1, and the second at least 1.
    """
    k = np.arange(1, len(exact) - 1)
    larger = np.maximum(np.abs(exact[1:-1]), np.abs(exact[2:]))
    return float((np.abs(exact[1:-1]) * np.sqrt(k)).max() / eta), float((larger * np.sqrt(k + 1)).min() * 2 / eta)


def within(eta: float, exact: np.ndarray) -> tuple[bool, bool]:
    """Return whether each proved bound holds; the upper one holds with equality at k = 1."""
    upper, lower = extremes(eta, exact)
    # rounding may exceed a bound that holds with equality
    return upper <= 1 + 1e-12, lower >= 1


def findings(trajectory: Trajectory) -> list[str]:
    """Return where (10) and (11) part, both proved bounds, and from where float64 is not (11)."""
    eta, x, exact, formula = recursion(trajectory)
    (upper, lower), (most, least), part = extremes(eta, exact), within(eta, exact), parting(formula, exact)
    return [
        "paper: x_k is (10), and (9) amounts to (11), which is sublinear",
        f"(10) and (11) differ from k = {part}" if part >= 0 else f"(10) and (11) agree to k = {len(exact) - 1}",
        f"limit of (10): {limit_of_printed_formula(eta):.15f}, not 0; (10) at k = {len(x) - 1}: {formula[-1]:.6f}",
        f"largest |x_k| / (eta / sqrt(k)) = {upper:.6f}; at most 1, as proved: {most}",
        f"least max(|x_k|, |x_k+1|) / (eta / (2 sqrt(k+1))) = {lower:.6f}; at least 1, as proved: {least}",
        parting_in_words(x, exact),
    ]
