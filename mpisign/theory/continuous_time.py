"""The continuous-time flows of Appendix A: (22) x' = -beta grad f(x) and (23) x' = -beta sign(grad f(x)).

Pure functions of arrays. On a quadratic f = x'Hx/2, H symmetric positive semidefinite, both are exact up to rounding.
(23) has a discontinuous right-hand side and is solved in the sense of Filippov, where x slides along g_i = 0: each
velocity is in the interval of its coordinate, v_i in -beta Sign(g_i), with Sign(0) = [-1, 1]. For other f there is
(22) in any dimension, by a Runge-Kutta method, and (23) on the line; (23) for other f beyond the line is not covered.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.integrate
import scipy.linalg
import scipy.optimize

from mpisign.arrays import Floats

_EPS = float(np.finfo(np.float64).eps)


class Polyline(NamedTuple):
    """A piecewise linear path that stays at its last point: times (m,), increasing from 0, and points (m, d)."""

    times: Floats
    points: Floats

    def at(self, times: Floats) -> Floats:
        """Return x at each of `times` >= 0; shape (len(times), d)."""
        return np.stack([np.interp(times, self.times, column) for column in self.points.T], axis=-1)


def gradient_flow(matrix: Floats, x0: Floats, times: Floats, *, beta: float) -> Floats:
    """Return (22) on x'Hx/2: x(t) = exp(-beta H t) x_0 by the eigenvectors of H.

    matrix: H, (d, d); x0: (d,); times: (n,). Returns x at each time, shape (n, d).
    """
    eigenvalues, vectors = scipy.linalg.eigh(matrix)
    decay = np.exp(-beta * np.outer(times, np.maximum(eigenvalues, 0.0)))
    path: Floats = (decay * (vectors.T @ x0)) @ vectors.T
    return path


def clipped_gradient_flow(limit: float, x0: Floats, times: Floats, *, beta: float) -> Floats:
    """Return (22) on Huber's function, f = sum_i h(x_i) with h'(x_i) = x_i clipped to [-limit, limit].

    |x_i| falls at the speed beta limit until it is `limit`, and by exp(-beta t) from then on.

    x0: (d,); times: (n,). Returns x at each time, shape (n, d).
    """
    away = np.maximum(np.abs(x0) - limit, 0.0)
    gone = beta * limit * times[:, None]
    late = np.maximum(times[:, None] - away / (beta * limit), 0.0)
    inside = np.minimum(np.abs(x0), limit) * np.exp(-beta * late)
    path: Floats = np.sign(x0) * np.where(gone < away, np.abs(x0) - gone, inside)
    return path


def sign_flow(matrix: Floats, x0: Floats, *, beta: float) -> Polyline:
    """Return (23) on x'Hx/2: every event from x_0 to the minimum, where the path ends in finite time.

    matrix: H, (d, d); x0: (d,). Between events the velocity v is constant: coordinates with g_i != 0, g = Hx, have
    v_i = -beta sign(g_i), and the others minimise v'Hv/2 in |v_i| <= beta, whose optimality is Filippov's inclusion for
    g' = Hv. An event is a g_i that reaches 0. There the box widens, so that v'Hv = V'' falls from event to event: no
    velocity comes twice, and there are finitely many. Where H is singular v is not unique (Hv is): one is taken.

    Raises ValueError when H is not symmetric positive semidefinite, RuntimeError after 1000 d events: rounding has won.
    """
    root = _root(matrix)
    x, time = x0.astype(np.float64), 0.0
    # What g = Hx can be off by when it is 0: x itself is known to about eps |x_0|.
    rounding = 64 * len(x) * _EPS * np.abs(matrix).sum(axis=1) * np.abs(x).max(initial=0.0)
    g = _snapped(matrix @ x, rounding)
    times, points = [time], [x]
    while g.any():
        if len(times) > 1000 * len(x):
            raise RuntimeError(f"(23) has not ended after {len(times)} events")
        v = _velocity(root, np.sign(g))
        step = _until_zero(g, matrix @ v)
        if not np.isfinite(step):  # no g_i comes nearer to 0: those that are left are rounding
            break
        time, x = time + step, x + step * v
        g = _snapped(matrix @ x, rounding)
        times.append(time)
        points.append(x)
    return Polyline(np.array(times) / beta, np.array(points))


def _root(matrix: Floats) -> Floats:
    """Return a with A'A = H."""
    eigenvalues, vectors = scipy.linalg.eigh(matrix)
    if not np.allclose(matrix, matrix.T, rtol=1e-12, atol=0) or eigenvalues[0] < -1e-12 * abs(eigenvalues).max():
        raise ValueError("expected a symmetric positive semidefinite matrix")
    # Eigenvalues of the size of rounding are those of a singular matrix.
    kept = np.where(eigenvalues > len(matrix) * _EPS * eigenvalues[-1], eigenvalues, 0.0)
    root: Floats = np.sqrt(kept)[:, None] * vectors.T
    return root


def _snapped(g: Floats, rounding: Floats) -> Floats:
    return np.where(np.abs(g) <= rounding, 0.0, g)


def _velocity(root: Floats, signs: Floats) -> Floats:
    """Return the v that minimises ||Av||^2 = v'Hv over |v_i| <= 1 with v_i = -signs_i where signs_i is not 0."""
    v = -signs
    free = signs == 0
    if not free.any():
        return v
    scale = np.linalg.norm(root[:, free]) or 1.0
    target = -(root[:, ~free] @ v[~free]) / scale
    box = scipy.optimize.lsq_linear(
        root[:, free] / scale, target, (-1.0, 1.0), method="bvls", tol=_EPS, max_iter=100 + 10 * len(v)
    )
    v[free] = box.x
    return v


def _until_zero(g: Floats, rate: Floats) -> float:
    """Return the time until the first g_i that is not 0 reaches 0, where g' = rate; infinity where none does."""
    approaching = g * rate < 0
    return float((-g[approaching] / rate[approaching]).min(initial=np.inf))


def normalised_flow(matrix: Floats, x0: Floats, times: Floats, *, beta: float) -> tuple[Floats, Floats]:
    """Return x' = -beta g / ||g|| on x'Hx/2, the flow of normalised GD.

    The path of (22) in the time that its length takes.

    times: (n,), increasing from 0, of (22) with beta = 1. Returns when normalised GD is there, (n,), and x, (n, d).
    By Gauss and Legendre's rule between one time and the next: exact where ||g|| is nearly a polynomial there.
    """
    nodes, weights = np.polynomial.legendre.leggauss(8)
    half = np.diff(times)[:, None] / 2
    inner = times[:-1, None] + half * (1 + nodes)
    g = gradient_flow(matrix, x0, inner.ravel(), beta=1.0) @ matrix
    lengths = (half * np.linalg.norm(g, axis=1).reshape(inner.shape)) @ weights
    elapsed = np.concatenate([[0.0], np.cumsum(lengths)]) / beta
    return elapsed, gradient_flow(matrix, x0, times, beta=1.0)


class Constants(NamedTuple):
    """What the bounds on x'Hx/2 with H definite need: D_1 and D_2 of Propositions 1 and 2, mu, and the last time T."""

    D1: float
    D2: float
    mu: float
    extinction: float


def constants(matrix: Floats, gap0: float, *, beta: float) -> Constants:
    """Return D_1 = sqrt(2 V_0 / lambda_min), mu = 1 / max_i (H^-1)_ii, D_2 = sqrt(2 V_0 / mu), T = D_2 / beta.

    By the PL inequality V' = -beta ||g||_1 <= -beta sqrt(2 mu V), so that sqrt(V(t)) <= sqrt(V_0) - beta t sqrt(mu/2):
    (23) is at the minimum by T = sqrt(2 V_0 / mu) / beta, where the bound of Proposition 2 is still V_0 / e.
    """
    mu = 1.0 / float(np.linalg.inv(matrix).diagonal().max())
    D1 = float(np.sqrt(2 * gap0 / scipy.linalg.eigvalsh(matrix)[0]))
    D2 = float(np.sqrt(2 * gap0 / mu))
    return Constants(D1, D2, mu, D2 / beta)


def smooth_gradient_flow(
    gradient: Callable[[Floats], Floats], x0: Floats, times: Floats, *, beta: float, tolerance: float = 1e-12
) -> Floats:
    """Return (22) for a smooth f by DOP853 with that relative tolerance.

    Returns x at each of the increasing `times`, shape (n, d).

    Raises ValueError when the integration fails.
    """
    solution = scipy.integrate.solve_ivp(
        lambda t, x: -beta * gradient(x),
        (0.0, float(times[-1])),
        x0,
        method="DOP853",
        t_eval=times,
        rtol=tolerance,
        atol=1e-3 * tolerance,
    )
    if not solution.success:
        raise ValueError(f"the integration of (22) failed: {solution.message}")
    path: Floats = solution.y.T
    return path


def sign_flow_on_line(derivative: Callable[[float], float], x0: float, *, beta: float, step: float = 1e-3) -> Polyline:
    """Return (23) on the line: at speed beta downhill to the first zero of f' that is met, and there it stays.

    step: how finely the first change of the sign of f' is looked for; it is then found to rounding. Zeros of f' that
    lie closer together are missed. For an f that attains its minimum; otherwise the search does not end.
    """
    slope = derivative(x0)
    if slope == 0:
        return Polyline(np.zeros(1), np.array([[x0]]))
    direction, low = -float(np.sign(slope)), x0
    high = low + direction * step
    while derivative(high) * slope > 0:
        low, high = high, high + direction * step
    end = float(scipy.optimize.brentq(derivative, low, high, xtol=1e-300, rtol=4 * _EPS))
    return Polyline(np.array([0.0, abs(end - x0) / beta]), np.array([[x0], [end]]))
