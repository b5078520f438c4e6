"""Draw Example 2: the first sign variant of AdaGrad-Norm, (6), on f(x) = x^2/2, beside AdaGrad-Norm (5).

float64 (the trajectory file) is shown beside the same recursion with 120 digits, from the file's first start.
"""

import functools

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpisign.audit.figures.figure import above, chosen, remark
from mpisign.storage.trajectory import RunRecord, Trajectory
from mpisign.theory.recursions import sign_adagrad_norm

LENGTH = 2**15
"""Iterations of the recursion with many digits."""

with_digits = functools.cache(sign_adagrad_norm)
"""The recursion with 120 digits, a second's work, cached for figure and findings."""


def recursion(trajectory: Trajectory) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Return eta, x_k in float64 as run, and x_k and b_k^2 with 120 digits from the same start."""
    run = chosen(trajectory, "sign-adagrad-norm")
    eta, x = float(run.attributes["step.alpha"]), run.finished()[0].columns["x"][:, 0]
    return eta, x, *with_digits(float(x[0]), eta, max(LENGTH, len(x) - 1))


def dyadic(f: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return k, maximum and mean of f over the blocks 2^j <= k < 2^(j+1), j >= 4; k is the first of its block."""
    k = 2 ** np.arange(4, int(np.log2(len(f))))
    blocks = [f[start : 2 * start] for start in k]
    return k, np.array([block.max() for block in blocks]), np.array([block.mean() for block in blocks])


def exponent(k: np.ndarray, values: np.ndarray) -> float:
    """Return the exponent of k in `values`, by least squares in the logarithms, from k = 1024 on."""
    late = k >= 1024
    return float(np.polyfit(np.log(k[late]), np.log(values[late]), 1)[0])


def draw_iterates(axes: Axes, exact: np.ndarray, run: RunRecord, linear: RunRecord) -> None:
    """Draw |x_k| of (6), with 120 digits and as run, and of (5), from k = 1."""
    k = np.arange(1, len(exact))
    axes.plot(k, np.abs(exact[1:]), ls="", marker=".", ms=1, color="0.6", rasterized=True, label="(6), 120 digits")
    x = np.abs(run.finished()[0].columns["x"][1:, 0])
    axes.plot(np.arange(1, len(x) + 1)[x > 0], x[x > 0], ls="", marker=".", ms=1, color="C0", label="(6), float64")
    x = np.abs(linear.finished()[0].columns["x"][1:, 0])
    axes.plot(np.arange(1, len(x) + 1), x, color="C1", ls="-", label="AdaGrad-Norm (5)")
    axes.set(xscale="log", yscale="log", ylim=(1e-20, 3), xlabel="iterations k", ylabel="$|x_k|$")
    above(axes, ncols=3, markerscale=8)


def draw_sum(axes: Axes, squares: np.ndarray, eta: float) -> None:
    """Draw b_k^2 of (6) beside eta sqrt(k)."""
    k = np.arange(1, len(squares))
    axes.plot(k, squares[1:], color="C0", label="$b_k^2$, 120 digits")
    axes.plot(k, eta * np.sqrt(k), "k--", label=r"$\eta\,\sqrt{k}$")
    axes.set(xscale="log", yscale="log", xlabel="iterations k", ylabel="$b_k^2$")
    axes.legend()


def draw_rate(axes: Axes, f: np.ndarray, eta: float) -> None:
    """Draw the largest and the mean f of each block, beside eta / (2 sqrt(k)) and eta / (4 sqrt(k))."""
    k, largest, mean = dyadic(f)
    axes.plot(k, largest, "o", color="C0", ms=4, label="largest $f$ in $[k, 2k)$")
    axes.plot(k, eta / (2 * np.sqrt(k)), "-", color="0.3", lw=1, label=r"$\eta / (2\sqrt{k})$")
    axes.plot(1.5 * k, mean, "s", color="C1", ms=4, label="mean $f$ in $[k, 2k)$")
    axes.plot(1.5 * k, eta / (4 * np.sqrt(1.5 * k)), "--", color="0.3", lw=1, label=r"$\eta / (4\sqrt{k})$")
    axes.set(xscale="log", yscale="log", xlabel="iterations k", ylabel="$f(x_k)$")
    axes.legend()


def draw_parting(axes: Axes, x: np.ndarray, exact: np.ndarray) -> None:
    """Draw how far float64 is from many digits, with lines where the signs part and where x_k is 0."""
    difference = np.abs(x - exact[: len(x)])
    k = np.flatnonzero(difference)
    axes.plot(k, difference[k], ls="", marker=".", ms=2, color="C0")
    for place, text in ((left_at(x, exact), "signs differ"), (zero_at(x), "float64 at 0")):
        if place >= 0:
            axes.axvline(place, color="0.3", lw=1, ls="--")
            axes.annotate(f"{text}\nk = {place} ", (place, 2e1), ha="right", fontsize=8)
    axes.set(yscale="log", ylim=(1e-19, 1e3), xlabel="iterations k", ylabel="|float64 - 120 digits| of $x_k$")


def left_at(x: np.ndarray, exact: np.ndarray) -> int:
    """Return the first k at which the signs of float64 and of many digits differ; -1 if none."""
    return first(np.sign(x) != np.sign(exact[: len(x)]))


def zero_at(x: np.ndarray) -> int:
    """Return the first k with x_k = 0; -1 if none."""
    return first(x == 0)


def first(found: np.ndarray) -> int:
    """Return the first place that is True; -1 if none."""
    return int(found.argmax()) if found.any() else -1


def parting_in_words(x: np.ndarray, exact: np.ndarray) -> str:
    """Describe from where float64 is wrong, and where it is 0."""
    left, zero = (f"from k = {k}" if k >= 0 else f"in no k <= {len(x) - 1}" for k in (left_at(x, exact), zero_at(x)))
    return f"float64: signs differ from the true ones {left}, x_k = 0 {zero}"


def linear_in_words(size: np.ndarray) -> str:
    """Describe how fast |x_k| of (5), shape (K + 1,), falls over the 50 iterations before 1e-100."""
    end = first(size < 1e-100)
    if end < 50:
        return f"(5): |x_k| = {size[-1]:.3g} at k = {len(size) - 1}; not at 1e-100"
    return f"(5): |x_k| falls by the factor {(size[end] / size[end - 50]) ** 0.02:.6f} an iteration around k = {end}"


def in_one_step(trajectory: Trajectory) -> list[str]:
    """Describe the starts from which (6) lands on 0 at once and stays: x_0 = +-sqrt(eta)."""
    known = [run for run in trajectory if "step.alpha" in run.attributes]
    runs = [run for run in known if run.attributes["method"] == "sign-adagrad-norm"]
    repeats = [(run.attributes["step.alpha"], repeat.columns["x"][:, 0]) for run in runs for repeat in run.finished()]
    return [f"x_0 = {x[0]:g}, eta = {eta:g}: x_1 = 0 and stays" for eta, x in repeats if not x[1:].any()]


def draw(trajectory: Trajectory) -> Figure:
    """Draw iterates, sum, rate, and where float64 leaves the recursion."""
    run, linear = chosen(trajectory, "sign-adagrad-norm"), chosen(trajectory, "adagrad-norm")
    eta, x, exact, squares = recursion(trajectory)
    figure, axes = plt.subplots(2, 2, figsize=(9.0, 6.4))
    draw_iterates(axes[0, 0], exact, run, linear)
    draw_sum(axes[0, 1], squares, eta)
    draw_rate(axes[1, 0], exact**2 / 2, eta)
    draw_parting(axes[1, 1], x, exact)
    remark(
        figure,
        f"eta = {eta:g}, x_0 = {x[0]:g}. Not linear, as the paper says; the rate of f is 1/sqrt(k).\n"
        "float64 rounds an x_k that comes close to 0: from where a sign first differs it shows rounding, not (6).",
    )
    return figure


def least_pair(eta: float, exact: np.ndarray, squares: np.ndarray) -> float:
    """Return the least max(|x_k|, |x_{k+1}|) over eta / (2 b_{k+1}): at least 1, as proved, where no x_k is 0."""
    return float((np.maximum(np.abs(exact[:-1]), np.abs(exact[1:])) * np.sqrt(squares[1:]) / (eta / 2)).min())


def findings(trajectory: Trajectory) -> list[str]:
    """Return the rates of (5) and (6), the proved bound, and from where float64 is not (6)."""
    eta, x, exact, squares = recursion(trajectory)
    k, largest, mean = dyadic(exact**2 / 2)
    least = least_pair(eta, exact, squares)
    linear = np.abs(chosen(trajectory, "adagrad-norm").finished()[0].columns["x"][:, 0])
    return [
        "paper: f is not linearly convergent under (6); AdaGrad-Norm (5) is",
        linear_in_words(linear),
        f"(6): slope of log f against log k: largest {exponent(k, largest):+.4f}, mean {exponent(k, mean):+.4f}",
        f"(6): b_k^2 / (eta sqrt(k)) = {squares[-1] / (eta * np.sqrt(len(squares) - 1)):.6f} at k = {len(squares) - 1}",
        f"(6): least max(|x_k|, |x_k+1|) / (eta / (2 b_k+1)) = {least:.6f}; at least 1, as proved: {least >= 1}",
        f"least |x_k| with 120 digits, k <= {len(exact) - 1}: {np.abs(exact).min():.3g}",
        parting_in_words(x, exact),
        *in_one_step(trajectory),
    ]
