"""Draw Appendix A: V(t) = f(x) - f* along (22) and (23) on quadratics x'Hx/2, with Propositions 1 and 2.

Nothing is simulated in steps, and no trajectory file is read.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import huber

from mpisign.audit.figures.figure import above, parser_of, remark, report, save, status_of
from mpisign.theory.bounds import proposition1, proposition2
from mpisign.theory.continuous_time import (
    Constants,
    clipped_gradient_flow,
    constants,
    gradient_flow,
    normalised_flow,
    sign_flow,
    sign_flow_on_line,
    smooth_gradient_flow,
)

BETA = 1.0
PLANE, CORNER = np.array([[1.0, 0.6], [0.6, 1.6]]), np.array([2.2, -0.5])
"""A quadratic in the plane, and a start there."""

CHAIN = 0.8 ** np.abs(np.subtract.outer(np.arange(8), np.arange(8)))
START = np.array([2.0, 1.5, -0.5, 1.0, 0.5, -1.0, 1.0, 2.0])
"""Eight coordinates, H_ij = 0.8^|i-j|, and a start there."""

LIMIT, FAR = 0.01, 1.0
"""Huber's function of one coordinate, x^2/2 up to this limit and linear beyond, and a start where it is linear."""


def values(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return f = x'Hx/2 at each of the points.

    Args:
        matrix: H, shape (d, d).
        points: Shape (n, d).

    Returns:
        Values, shape (n,).
    """
    return np.asarray(0.5 * np.einsum("ni,ij,nj->n", points, matrix, points))


def draw_paths(axes: Axes) -> None:
    """Draw x(t) along (23) and (22), with lines where a g_i is 0; normalised GD follows (22) at another pace."""
    first, second = np.meshgrid(np.linspace(-1.2, 2.5, 200), np.linspace(-1.4, 1.0, 200))
    f = values(PLANE, np.stack([first.ravel(), second.ravel()], axis=1)).reshape(first.shape)
    axes.contour(first, second, f, levels=8, colors="0.85", linewidths=0.7)
    for row, style in zip(PLANE, ("-.", ":"), strict=True):
        # On g_i = 0 the first coordinate is -H_i2 / H_i1 times the second.
        axes.plot(-row[1] / row[0] * second[:, 0], second[:, 0], color="0.5", lw=0.9, ls=style)
    path = sign_flow(PLANE, CORNER, beta=BETA).points
    smooth = gradient_flow(PLANE, CORNER, np.linspace(0, 40, 2000), beta=BETA)
    axes.plot(path[:, 0], path[:, 1], "-o", ms=3.5, color="C0", label="(23)")
    axes.plot(smooth[:, 0], smooth[:, 1], "--", color="C1", label="(22) and normalised GD")
    axes.set(xlabel="$x_1$", ylabel="$x_2$", xlim=(-1.2, 2.5), ylim=(-1.4, 1.0))
    axes.annotate("$g_1 = 0$", (0.84, -1.3), fontsize=8)
    axes.annotate("$g_2 = 0$", (-1.16, 0.12), fontsize=8)
    above(axes, ncols=2)


def draw_gaps(axes: Axes, known: Constants) -> None:
    """Draw V(t) along (22), (23) and normalised GD, with the bounds of Propositions 1 and 2.

    The bound by PL, (sqrt(V_0) - beta t sqrt(mu/2))^2, is 0 at T.
    """
    t = np.linspace(0, 1.6 * known.extinction, 1500)
    gap0 = float(values(CHAIN, START[None])[0])
    v22 = values(CHAIN, gradient_flow(CHAIN, START, t, beta=BETA))
    path = sign_flow(CHAIN, START, beta=BETA)
    t23, t_finite = towards(path.times[-1]), towards(known.extinction)
    elapsed, points = normalised_flow(CHAIN, START, normalised_times(), beta=BETA)
    axes.plot(t23, values(CHAIN, path.at(t23)), "-", color="C0", label="(23), signs")
    axes.plot(t, v22, "--", color="C1", label="(22), gradient")
    axes.plot(elapsed, values(CHAIN, points), "-.", color="C2", label="normalised GD")
    axes.plot(
        t, proposition2(t, gap0, D2=known.D2, beta=BETA), color="C0", ls=(0, (6, 2, 1, 2)), lw=1.0, label="Prop. 2"
    )
    axes.plot(t, proposition1(t, gap0, D1=known.D1, beta=BETA), color="C1", ls=":", lw=1.2, label="Prop. 1")
    finite = (np.sqrt(gap0) - BETA * t_finite * np.sqrt(known.mu / 2)) ** 2
    axes.plot(t_finite, finite, "-", color="0.35", lw=0.8, label="finite time, by PL")
    axes.axvline(known.extinction, color="0.35", lw=0.8, ls=(0, (1, 3)))
    axes.annotate(f" T = {known.extinction:.2f}", (known.extinction, 1e-9), fontsize=8)
    axes.set(yscale="log", ylim=(1e-12, 60), xlabel=r"time t (with $\beta = 1$)", ylabel="$V(t) = f(x(t)) - f^*$")
    above(axes, ncols=3)


def towards(end: float) -> np.ndarray:
    """Return times from 0 that crowd before `end`, so that a logarithmic axis shows the end."""
    return end * (1 - np.geomspace(1, 1e-8, 800))


def normalised_times() -> np.ndarray:
    """Return times of (22) from 0 to where nothing is left."""
    return np.concatenate([[0.0], np.geomspace(1e-4, 400, 600)])


def draw(known: Constants) -> Figure:
    """Draw the paths in the plane, and the gaps in eight dimensions."""
    figure, axes = plt.subplots(1, 2, figsize=(9.2, 4.4))
    draw_paths(axes[0])
    draw_gaps(axes[1], known)
    remark(
        figure,
        "Propositions 1 and 2 hold, but their contrast is not the methods': (22) is linear under PL, (23) ends"
        " in finite time,\nand so does normalised GD. Left: (23) slides where a $g_i$ is 0; its velocity there"
        " is Filippov's.",
    )
    return figure


def of_chain() -> Constants:
    """Return the constants of the eight coordinates."""
    return constants(CHAIN, float(values(CHAIN, START[None])[0]), beta=BETA)


def along(known: Constants) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return times far beyond T, and V there along (22) and (23)."""
    t = np.linspace(0, 8 * known.extinction, 8001)
    path = sign_flow(CHAIN, START, beta=BETA)
    return t, values(CHAIN, gradient_flow(CHAIN, START, t, beta=BETA)), values(CHAIN, path.at(t))


def held(known: Constants) -> tuple[bool, bool]:
    """Return whether the bounds of Proposition 1, on Huber's function too, and of Proposition 2 hold at all times."""
    t, v22, v23 = along(known)
    gaps, bound = on_huber()
    first = proposition1(t, v22[0], D1=known.D1, beta=BETA)
    second = proposition2(t, v23[0], D2=known.D2, beta=BETA)
    convex = (v22 <= first * (1 + 1e-12)).all() and (gaps <= bound * (1 + 1e-12)).all()
    return bool(convex), bool((v23 <= second * (1 + 1e-12)).all())


def on_huber() -> tuple[np.ndarray, np.ndarray]:
    """Return V along (22) on Huber's function, to far beyond the end of its linear part, and Proposition 1's bound."""
    t = np.linspace(0, 3 * FAR / (BETA * LIMIT), 3001)
    gaps = huber(LIMIT, clipped_gradient_flow(LIMIT, np.array([FAR]), t, beta=BETA)[:, 0])
    # |x(t)| falls, so that D_1 is where it starts
    return gaps, proposition1(t, gaps[0], D1=FAR, beta=BETA)


def nearness(known: Constants) -> str:
    """Return a line on how near V comes to Proposition 1's bound, on Huber's function and on the quadratic."""
    t, quadratic, _ = along(known)
    pairs = on_huber(), (quadratic, proposition1(t, quadratic[0], D1=known.D1, beta=BETA))
    # V falls, and np.interp wants what rises
    near = [[np.interp(-at * v[0], -v, v / bound) for at in (0.9, 0.5, 0.1)] for v, bound in pairs]
    said = [", ".join(f"{part:.2f}" for part in parts) for parts in near]
    return (
        f"where V is 9/10, 1/2 and 1/10 of V(0) it is {said[0]} of Proposition 1's bound on Huber's function, "
        f"{said[1]} on the quadratic"
    )


def on_line() -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return times, the least |f'| so far along (22) and along (23) from x_0 = 3 on Example 4's f, and V(0)."""
    t = np.linspace(1e-3, 4.0, 4001)
    path22 = smooth_gradient_flow(slope, np.array([3.0]), np.concatenate([[0.0], t]), beta=BETA)[1:, 0]
    path23 = sign_flow_on_line(lambda x: float(slope(np.array([x]))[0]), 3.0, beta=BETA).at(t)[:, 0]
    least = [np.minimum.accumulate(np.abs(slope(path))) for path in (path22, path23)]
    return t, *least, 9.0 + 3 * np.sin(3.0) ** 2


def slope(x: np.ndarray) -> np.ndarray:
    """Return f' of f = x^2 + 3 sin^2 x, which is not convex."""
    return np.asarray(2 * x + 3 * np.sin(2 * x))


def findings(known: Constants) -> list[str]:
    """Return whether the propositions hold, and what they leave out.

    That is (22)'s rate, and the ends of (23) and normalised GD.
    """
    path, both = sign_flow(CHAIN, START, beta=BETA), held(known)
    t, v22, _ = along(known)
    normal = normalised_flow(CHAIN, START, normalised_times(), beta=BETA)[0][-1]
    rate = np.polyfit(t[t > 6 * known.extinction], np.log(v22[t > 6 * known.extinction]), 1)[0]
    return [
        "paper: (22) is sublinear (Proposition 1), (23) linear (Proposition 2), for convex f",
        f"Proposition 1 holds: {both[0]}; Proposition 2 holds: {both[1]} (D_1 = {known.D1:.4f}, D_2 = {known.D2:.4f})",
        nearness(known),
        f"(22) is linear under PL: log V falls by {-rate:.4f} a unit of time in the end, at least by "
        f"2 beta lambda_min = {2 * BETA * np.linalg.eigvalsh(CHAIN)[0]:.4f}",
        f"(23) is at the minimum at t = {path.times[-1]:.4f} after {len(path.times) - 1} events; "
        f"T = sqrt(2 V_0 / mu) / beta = {known.extinction:.4f}, where Proposition 2 still allows V_0 / e",
        f"normalised GD is at the minimum at t = {normal:.4f}",
    ]


def main(documentation: str | None) -> int:
    """Run the command; return its exit status: 0, or 2 where the figure cannot be written."""
    output = parser_of(documentation).parse_args().output

    def draw_and_print() -> None:
        report(*findings(of_chain()))
        save(draw(of_chain()), output / "flows")

    return status_of(draw_and_print, output)
