"""The flows of Appendix A against closed forms, an implicit scheme, Filippov's inclusion and the Lyapunov identity."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mpisign.problems.toy import Toy
from mpisign.theory import continuous_time
from mpisign.theory.bounds import proposition1, proposition2

SEEDS = st.integers(0, 2**32 - 1)


def case(seed, singular=False, largest=8):
    """A correlated H, singular or with a condition number up to some 1e4, and a start."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, largest + 1))
    factor = rng.standard_normal((d, max(1, d // 2) if singular else d + 1))
    return factor @ factor.T, rng.standard_normal(d)


def tied(seed):
    """Small whole numbers, where several events fall together and g_i = 0 at the start is common; H may be singular."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 7))
    factor = rng.integers(-2, 3, (d, int(rng.integers(1, d + 2)))).astype(float)
    return factor @ factor.T, rng.integers(-3, 4, d).astype(float)


EVERY = {"definite": case, "singular": lambda seed: case(seed, singular=True), "whole numbers": tied}


def value(matrix, points):
    return 0.5 * np.einsum("...i,ij,...j->...", points, matrix, points)


def pieces(path):
    """Durations, velocities and midpoints of a piecewise linear path."""
    steps, durations = np.diff(path.points, axis=0), np.diff(path.times)
    return durations, steps / durations[:, None], (path.points[1:] + path.points[:-1]) / 2


# (22) on Huber's function


@settings(max_examples=20)
@given(seed=SEEDS, beta=st.floats(0.1, 10), limit=st.floats(0.05, 2))
def test_the_clipped_flow_takes_the_time_that_its_speed_takes(seed, beta, limit):
    """From |x_0| to |x(t)|, the integral of 1 / (beta |h'|), by quadrature. And Proposition 1 holds along it."""
    x0 = np.random.default_rng(seed).standard_normal(3) * 2
    times = np.linspace(0, 3 / beta + 2 / (beta * limit), 7)
    path = continuous_time.clipped_gradient_flow(limit, x0, times, beta=beta)
    for t, x in zip(times, path, strict=True):
        for start, end in zip(x0, x, strict=True):
            kink = [math.log(limit)] if abs(end) < limit < abs(start) else None
            # over u = log |x|, in which the slow end is no singularity
            taken = scipy.integrate.quad(
                lambda u: math.exp(u) / (beta * min(math.exp(u), limit)), *np.log(np.abs([end, start])), points=kink
            )[0]
            assert taken == pytest.approx(t, rel=1e-9, abs=1e-9)
            assert end * start > 0
    size = np.abs(path)
    gaps = np.where(size < limit, size**2 / 2, limit * (size - limit / 2)).sum(axis=1)
    assert (gaps <= proposition1(times, gaps[0], D1=float(np.linalg.norm(x0)), beta=beta) * (1 + 1e-12)).all()


# (23) on quadratics


@settings(max_examples=60)
@given(seed=SEEDS, beta=st.floats(0.01, 100))
def test_sign_flow_of_a_diagonal_is_in_closed_form(seed, beta):
    """x_i(t) = sign(x_i) max(|x_i| - beta t, 0) where lambda_i > 0; where it is 0, x_i stays."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 9))
    eigenvalues = np.exp(rng.uniform(-8, 8, d)) * (rng.random(d) < 0.9)
    x0 = rng.standard_normal(d) * (rng.random(d) < 0.8)
    x0[: d // 2] = np.round(x0[: d // 2])  # so that some arrive together
    times = np.linspace(0, 5 / beta, 101)
    moving = np.sign(x0) * np.maximum(np.abs(x0) - beta * times[:, None], 0)
    expected = np.where(eigenvalues > 0, moving, x0)
    path = continuous_time.sign_flow(np.diag(eigenvalues), x0, beta=beta)
    assert np.abs(path.at(times) - expected).max() <= 1e-12


@pytest.mark.parametrize("kind", EVERY)
@settings(max_examples=60)
@given(seed=SEEDS)
def test_the_velocity_is_in_filippovs_inclusion(kind, seed):
    """v_i = -beta sign(g_i) where g_i is not 0 inside a piece, |v_i| <= beta elsewhere; the path is continuous."""
    matrix, x0 = EVERY[kind](seed)
    path = continuous_time.sign_flow(matrix, x0, beta=2.0)
    _, velocities, middles = pieces(path)
    g = middles @ matrix
    known = np.abs(g) > 1e-9 * np.abs(matrix).sum() * np.abs(x0).max()
    assert np.abs(velocities).max(initial=0) <= 2 * (1 + 1e-6)
    assert np.abs(velocities + 2 * np.sign(g))[known].max(initial=0) <= 1e-6
    assert (path.points[0] == x0).all()


@pytest.mark.parametrize("seed", [109, 1241, 1948, 1990, 3294, 23265585])
def test_a_singular_path_ends_where_rounding_leaves_a_gradient(seed):
    """Seeds at which, with one BLAS or another, a g_i of rounding's size came no nearer to 0, or came and went."""
    matrix, x0 = EVERY["singular"](seed)
    path = continuous_time.sign_flow(matrix, x0, beta=2.0)
    assert np.abs(matrix @ path.points[-1]).max() <= 1e-12 * np.abs(matrix).sum() * np.abs(x0).max()


@pytest.mark.parametrize("kind", EVERY)
@settings(max_examples=60)
@given(seed=SEEDS)
def test_lyapunov(kind, seed):
    """V' = -beta ||g||_1 (28): g is linear on each piece, so that the midpoint rule is exact. V ends at 0."""
    matrix, x0 = EVERY[kind](seed)
    path = continuous_time.sign_flow(matrix, x0, beta=0.7)
    durations, _, middles = pieces(path)
    drops = 0.7 * np.abs(middles @ matrix).sum(axis=1) * durations
    size = np.abs(matrix).sum() * np.abs(x0).max() ** 2
    assert np.diff(value(matrix, path.points)) == pytest.approx(-drops, abs=1e-13 * size)
    assert np.abs(matrix @ path.points[-1]).max() <= 1e-13 * np.abs(matrix).sum() * np.abs(x0).max()


@pytest.mark.parametrize("kind", EVERY)
@settings(max_examples=60)
@given(seed=SEEDS)
def test_no_velocity_comes_twice(kind, seed):
    """v'Hv = V'' falls at every event: why there are finitely many."""
    matrix, x0 = EVERY[kind](seed)
    _, velocities, _ = pieces(continuous_time.sign_flow(matrix, x0, beta=1.0))
    energies = 2 * value(matrix, velocities)
    assert (np.diff(energies) < 1e-12 * energies.max(initial=1)).all()
    assert len({tuple(np.round(v, 6)) for v in velocities}) == len(velocities)


def implicit(matrix, x0, beta, step, steps):
    """Backward Euler for (23): x_{n+1} minimises f over |x - x_n|_inf <= beta h, whose optimality is the inclusion.

    By Gauss and Seidel's descent on the coordinates of the box; nothing in common with the events.
    """
    x, path = x0.copy(), [x0.copy()]
    for _ in range(steps):
        low, high = x - beta * step, x + beta * step
        for _ in range(300):
            before = x.copy()
            for i in range(len(x)):
                best = x[i] - (matrix[i] @ x) / matrix[i, i]
                x[i] = min(max(best, low[i]), high[i])
            if np.abs(x - before).max() < 1e-13:
                break
        path.append(x.copy())
    return np.array(path)


@pytest.mark.parametrize("seed", range(6))
def test_an_implicit_scheme_converges_to_it(seed):
    matrix, x0 = case(seed, largest=4)
    matrix = matrix / np.abs(matrix).max() + 0.1 * np.eye(len(matrix))
    path = continuous_time.sign_flow(matrix, x0, beta=1.0)
    errors = []
    for steps in (100, 400):
        step = path.times[-1] / steps
        points = implicit(matrix, x0, 1.0, step, steps)
        errors.append(np.abs(points - path.at(step * np.arange(steps + 1))).max() / step)
    assert max(errors) < 3.0  # of first order, with a small constant


def test_sliding_by_hand():
    """g = (1.9, 0.52), v = (-1, -1) until g_2 = 0 at t = 0.52 / 2.2; then v_2 = 0.6 / 1.6 keeps it there."""
    matrix, x0 = np.array([[1.0, 0.6], [0.6, 1.6]]), np.array([2.2, -0.5])
    path = continuous_time.sign_flow(matrix, x0, beta=1.0)
    meets = 0.52 / 2.2
    corner = np.array([2.2 - meets, -0.5 - meets])
    assert path.times == pytest.approx(np.array([0.0, meets, meets + corner[0]]), abs=1e-14)
    assert path.points == pytest.approx(np.array([x0, corner, [0.0, 0.0]]), abs=1e-14)
    _, velocities, middles = pieces(path)
    assert velocities[1] == pytest.approx(np.array([-1.0, 0.375]), abs=1e-13)
    assert abs(matrix[1] @ middles[1]) < 1e-14
    # Sliding is needed: v_2 = -1 would turn g_2 negative, v_2 = 1 positive, and either contradicts v_2 = -sign(g_2).
    assert matrix[1] @ [-1.0, -1.0] < 0 < matrix[1] @ [-1.0, 1.0]


def test_without_sliding_there_is_no_end(monkeypatch):
    """With sliding at most three pieces; with v_i = 0 where g_i = 0, thousands of events, which is noticed."""
    matrix, x0 = np.array([[1.0, 0.99], [0.99, 1.0]]), np.array([2.2, -0.5])
    assert len(continuous_time.sign_flow(matrix, x0, beta=1.0).times) <= 4
    monkeypatch.setattr(continuous_time, "_velocity", lambda root, signs: -signs)
    with pytest.raises(RuntimeError, match="has not ended after 2001 events"):
        continuous_time.sign_flow(matrix, x0, beta=1.0)


def test_crossing_by_hand():
    """Where |H_12| > H_11 the flow crosses g_1 = 0 and slides along g_2 = 0 only."""
    matrix, x0 = np.array([[1.0, 3.0], [3.0, 10.0]]), np.array([-2.0, 1.0])
    path = continuous_time.sign_flow(matrix, x0, beta=1.0)  # g = (1, 4): v = (-1, -1), g' = (-4, -13)
    _, velocities, _ = pieces(path)
    # g_1 = 0 at t = 1/4, where g_2 = 3/4 and v = (1, -1), g' = (-2, -7); g_2 = 0 after 3/28; then v = (1, -0.3).
    assert path.times[:3] == pytest.approx(np.array([0, 1 / 4, 1 / 4 + 3 / 28]), abs=1e-14)
    assert velocities == pytest.approx(np.array([[-1, -1], [1, -1], [1, -0.3]]), abs=1e-12)
    assert path.points[-1] == pytest.approx(np.zeros(2), abs=1e-14)


@settings(max_examples=60)
@given(seed=SEEDS)
def test_a_correlated_flow_slides_at_its_end(seed):
    """Somewhere a velocity lies strictly inside (-beta, beta): a flow of signs alone does not exist there."""
    matrix, x0 = case(seed)
    assume(np.linalg.cond(matrix) < 1e6)
    _, velocities, _ = pieces(continuous_time.sign_flow(matrix, x0, beta=1.0))
    inside = (np.abs(velocities) < 1 - 1e-9).any(axis=1)
    assert inside[-1]


@settings(max_examples=60)
@given(seed=SEEDS, scale=st.floats(1e-6, 1e6), beta=st.floats(0.01, 100))
def test_symmetries(seed, scale, beta):
    """The scale of H changes nothing, beta is a clock, and signs and the order of coordinates may be exchanged."""
    matrix, x0 = case(seed)
    rng = np.random.default_rng(seed)
    order, flips = rng.permutation(len(x0)), rng.choice([-1.0, 1.0], len(x0))
    path = continuous_time.sign_flow(matrix, x0, beta=1.0)
    other = continuous_time.sign_flow(
        scale * (flips[:, None] * matrix * flips)[np.ix_(order, order)], (flips * x0)[order], beta=beta
    )
    times = np.linspace(0, path.times[-1], 50)
    tolerance = 1e-14 * np.linalg.cond(matrix) + 1e-11
    assert np.abs(other.at(times / beta) - (path.at(times) * flips)[:, order]).max() <= tolerance


@settings(max_examples=60)
@given(seed=SEEDS)
def test_extinct_by_T_and_below_every_bound(seed):
    """sqrt(V(t)) <= sqrt(V_0) - beta t sqrt(mu / 2) by PL, so that x = x* by T; and Proposition 2."""
    matrix, x0 = case(seed)
    gap0 = float(value(matrix, x0))
    known = continuous_time.constants(matrix, gap0, beta=0.5)
    path = continuous_time.sign_flow(matrix, x0, beta=0.5)
    assert path.times[-1] <= known.extinction * (1 + 1e-9)
    times = np.linspace(0, 1.5 * known.extinction, 300)
    v = value(matrix, path.at(times))
    finite = np.maximum(math.sqrt(gap0) - 0.5 * times * math.sqrt(known.mu / 2), 0) ** 2
    assert (v <= finite + 1e-12 * gap0).all()
    assert (v <= proposition2(times, gap0, D2=known.D2, beta=0.5) * (1 + 1e-12)).all()
    smooth = value(matrix, continuous_time.gradient_flow(matrix, x0, times, beta=0.5))
    assert (smooth <= proposition1(times, gap0, D1=known.D1, beta=0.5) * (1 + 1e-12)).all()


def test_T_is_attained_in_one_dimension():
    """|x| - beta t: T = |x_0| / beta = D_2 / beta, whatever the curvature."""
    known = continuous_time.constants(np.array([[7.0]]), 0.5 * 7.0 * 9.0, beta=2.0)
    assert known == pytest.approx((3.0, 3.0, 7.0, 1.5), rel=1e-14)
    assert continuous_time.sign_flow(np.array([[7.0]]), np.array([-3.0]), beta=2.0).times[-1] == 1.5
    assert proposition2(np.array([1.5]), 1.0, D2=known.D2, beta=2.0) == pytest.approx(1 / math.e)


@settings(max_examples=60)
@given(seed=SEEDS)
def test_the_radii_are_those_of_the_sublevel_set(seed):
    """D_1 and D_2 are attained: at the lowest eigenvector, and at H^-1 e_i for the largest (H^-1)_ii."""
    matrix, x0 = case(seed)
    gap0 = float(value(matrix, x0))
    known = continuous_time.constants(matrix, gap0, beta=1.0)
    rng = np.random.default_rng(seed)
    inverse = np.linalg.inv(matrix)
    widest = [np.linalg.eigh(matrix)[1][:, 0], inverse[:, inverse.diagonal().argmax()]]
    points = np.concatenate([rng.standard_normal((200, len(x0))), widest])
    points *= np.sqrt(gap0 / value(matrix, points))[:, None]
    assert np.linalg.norm(points, axis=1).max() == pytest.approx(known.D1, rel=1e-6)
    assert np.abs(points).max() == pytest.approx(known.D2, rel=1e-6)
    pl = np.abs(points @ matrix).sum(axis=1) ** 2 / (2 * value(matrix, points))
    assert pl.min() >= known.mu * (1 - 1e-6)


@pytest.mark.parametrize(
    ("matrix", "x0"),
    [
        (np.eye(3), np.zeros(3)),
        (np.zeros((2, 2)), np.ones(2)),
        (np.ones((2, 2)), np.array([1.0, -1.0])),  # in the null space of H: every point is a minimiser
        (np.array([[1.0, 0.5], [0.5, 1.0]]), np.zeros(2)),
    ],
    ids=["origin", "H = 0", "null space", "correlated"],
)
def test_a_minimiser_stays(matrix, x0):
    path = continuous_time.sign_flow(matrix, x0, beta=1.0)
    assert path.times.tolist() == [0.0]
    assert (path.at(np.array([0.0, 3.0])) == x0).all()
    assert continuous_time.gradient_flow(matrix, x0, np.array([0.0, 3.0]), beta=1.0) == pytest.approx(
        np.array([x0, x0]), abs=1e-15
    )


def test_a_gradient_that_is_zero_at_the_start_slides_at_once():
    """x_0 = (1, -0.5): g = (0.75, 0) for H = [[1, 0.5], [0.5, 1]], also when rounding leaves a speck of it."""
    matrix = np.array([[1.0, 0.5], [0.5, 1.0]])
    for speck in (0.0, 2.0**-53, -(2.0**-53)):
        path = continuous_time.sign_flow(matrix, np.array([1.0, -0.5 + speck]), beta=1.0)
        assert path.times == pytest.approx(np.array([0.0, 1.0]))
        assert pieces(path)[1][0] == pytest.approx(np.array([-1.0, 0.5]))


def test_a_singular_quadratic_ends_on_its_valley():
    """f = (x_1 + x_2)^2 / 2: both move alike until x_1 + x_2 = 0, and stay there."""
    path = continuous_time.sign_flow(np.ones((2, 2)), np.array([3.0, -1.0]), beta=1.0)
    assert path.times == pytest.approx(np.array([0.0, 1.0]))
    assert path.points[-1] == pytest.approx(np.array([2.0, -2.0]))


@pytest.mark.parametrize("matrix", [[[1.0, 0.0], [0.0, -1.0]], [[1.0, 0.2], [0.0, 1.0]]], ids=["indefinite", "skewed"])
def test_what_is_no_semidefinite_matrix_is_refused(matrix):
    with pytest.raises(ValueError, match="semidefinite"):
        continuous_time.sign_flow(np.array(matrix), np.ones(2), beta=1.0)


# (22), normalised GD, and other f


@pytest.mark.parametrize("kind", EVERY)
@settings(max_examples=60)
@given(seed=SEEDS)
def test_gradient_flow_is_the_matrix_exponential(kind, seed):
    matrix, x0 = EVERY[kind](seed)
    times = np.array([0.0, 0.1, 2.0])
    expected = [scipy.linalg.expm(-0.6 * t * matrix) @ x0 for t in times]
    assert continuous_time.gradient_flow(matrix, x0, times, beta=0.6) == pytest.approx(np.array(expected), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_runge_and_kutta_agree_with_the_eigenvectors(seed):
    matrix, x0 = case(seed)
    times = np.linspace(0, 1, 11)
    found = continuous_time.smooth_gradient_flow(lambda x: matrix @ x, x0, times, beta=0.6)
    assert found == pytest.approx(continuous_time.gradient_flow(matrix, x0, times, beta=0.6), abs=1e-10)


def toy_gradient(x):
    out = np.empty(1)
    Toy().gradient(np.atleast_1d(x), out)
    return out


def test_gradient_flow_of_the_toy_has_no_jump_in_its_lyapunov_function():
    """V(s) - V(t) = beta int f'^2 (25), by Simpson's rule on a fine grid."""
    times = np.linspace(0, 1, 2001)
    x = continuous_time.smooth_gradient_flow(toy_gradient, np.array([3.0]), times, beta=1.0)
    v = np.array([Toy().value(point) for point in x])
    squares = np.array([toy_gradient(point)[0] ** 2 for point in x])
    simpson = (times[2] / 6) * (squares[0] + squares[-1] + 4 * squares[1::2].sum() + 2 * squares[2:-1:2].sum())
    assert v[0] - v[-1] == pytest.approx(simpson, rel=1e-9)


@pytest.mark.parametrize("x0", [3.01, -1.7, 0.4, 8.2])
def test_sign_flow_of_the_toy(x0):
    """f' vanishes at 0 alone: |x| - beta t, and extinct at |x_0| / beta."""
    path = continuous_time.sign_flow_on_line(lambda x: float(toy_gradient(x)[0]), x0, beta=0.5)
    times = np.linspace(0, 20, 101)
    assert path.at(times)[:, 0] == pytest.approx(np.sign(x0) * np.maximum(abs(x0) - 0.5 * times, 0), abs=1e-12)


@pytest.mark.parametrize(("x0", "end"), [(0.5, 1.0), (3.0, 1.0), (-1e-3, -1.0), (0.0, 0.0), (1.0, 1.0)])
def test_sign_flow_of_two_wells_ends_in_the_nearest_downhill(x0, end):
    path = continuous_time.sign_flow_on_line(lambda x: x**3 - x, x0, beta=2.0)
    assert path.points[-1, 0] == pytest.approx(end, abs=1e-12)
    assert path.times[-1] == pytest.approx(abs(end - x0) / 2, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_normalised_flow(seed):
    """Speed beta, V' = -beta ||g||, and the path of (22)."""
    matrix, x0 = case(seed)
    matrix = matrix / np.abs(matrix).max()
    elapsed, points = continuous_time.normalised_flow(matrix, x0, np.linspace(0, 3, 3001), beta=0.5)
    speed = np.linalg.norm(np.diff(points, axis=0), axis=1) / np.diff(elapsed)
    assert speed == pytest.approx(np.full(3000, 0.5), rel=1e-5)
    norms = np.linalg.norm(points @ matrix, axis=1)
    drop = 0.5 * ((norms[1:] + norms[:-1]) / 2 * np.diff(elapsed)).sum()
    assert value(matrix, points[0]) - value(matrix, points[-1]) == pytest.approx(drop, rel=1e-5)


def test_normalised_flow_is_the_sign_flow_in_one_dimension():
    elapsed, points = continuous_time.normalised_flow(
        np.array([[2.0]]), np.array([3.0]), np.linspace(0, 10, 200), beta=0.5
    )
    assert points[:, 0] == pytest.approx(3 - 0.5 * elapsed, abs=1e-12)
