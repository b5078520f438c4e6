"""What several steps of scaled signGD can leave of the gap: instances in fractions, limits, and searches between."""

from fractions import Fraction as F
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpisign.theory.bounds import zeta
from mpisign.theory.certificates.quadratics import curvature
from mpisign.theory.extremal import worst_case

CASES = [(F(1, 10), F(1)), (F(1, 4), F(1, 2)), (F(2, 5), F(1)), (F(1, 10), F(3, 2))]


def exact_zeta(mu, L, alpha):
    return 1 - 2 * mu * alpha * (1 - L * alpha / 2)


def descended(matrix, x, alpha, k):
    """V_0, ..., V_k by (14) in numpy, x'Hx/2."""
    matrix, x, gaps = np.array(matrix, dtype=float), np.array(x, dtype=float), []
    for _ in range(k + 1):
        g = matrix @ x
        gaps.append(x @ g / 2)
        x = x - float(alpha) * np.abs(g).sum() * np.sign(g)
    return np.array(gaps)


@pytest.mark.parametrize(("mu", "alpha"), CASES)
def test_one_step_attains_16_in_the_limit(mu, alpha):
    missing = []
    for epsilon in (F(1, 10**3), F(1, 10**6)):
        matrix, start = worst_case.tight_instance(mu, epsilon)
        assert curvature(matrix) == (mu, 1)
        missing.append(exact_zeta(mu, 1, alpha) - worst_case.gap_ratio(matrix, start, alpha, 1))
        assert 0 < missing[-1] < 4 * epsilon
    assert missing[1] < missing[0] / 100


def test_equality_where_mu_is_l():
    """f = (x_1 + x_2)^2/2: Assumptions 2 and 3 with mu = L = 4, and (16) is an equality for every k."""
    matrix, alpha = ((F(1), F(1)), (F(1), F(1))), F(1, 12)
    assert worst_case.gap_ratio(matrix, (F(1), F(2)), alpha, 3) == exact_zeta(4, 4, alpha) ** 3


@pytest.mark.parametrize(("mu", "alpha"), CASES)
def test_the_second_step_of_the_instances(mu, alpha):
    """In fractions: V_2 / V_0 is within O(epsilon) of the formula, and less than zeta^2 with H's own mu and L = 1."""
    epsilon = F(1, 10**6)
    matrix, start = worst_case.repeated_instance(mu, epsilon)
    own, largest = curvature(matrix)
    assert (largest, mu - own < epsilon) == (1, True)
    ratio = worst_case.gap_ratio(matrix, start, alpha, 2)
    assert float(ratio) == pytest.approx(worst_case.repeated(2, float(mu), 1.0, float(alpha)), abs=1e-5)
    assert ratio < exact_zeta(own, 1, alpha) ** 2 - mu**2 / 10
    before = worst_case.gap_ratio(matrix, start, alpha, 1)
    assert float(before) == pytest.approx((1 - mu * alpha) ** 2, abs=1e-5)


def test_the_example_of_the_page():
    matrix, start = worst_case.repeated_instance(F(1, 10), F(1, 1000))
    assert (matrix, start) == (((F(1, 10), F(1, 1000)), (F(1, 1000), F(449, 500))), (F(449, 500), -F(1, 1000)))
    assert curvature(matrix) == (F(1, 10) - F(1, 898000), 1)
    assert 0.728498 < worst_case.gap_ratio(matrix, start, F(1), 2) < 0.728499


def test_overshooting():
    mu, alpha = F(1, 10), F(3, 2)
    matrix, start = worst_case.overshot_instance(mu, alpha, F(1, 10**6))
    assert curvature(matrix) == (mu, 1)
    ratio = worst_case.gap_ratio(matrix, start, alpha, 2)
    assert float(ratio) == pytest.approx(worst_case.overshot(0.1, 1.0, 1.5), abs=1e-5)
    assert float(ratio) == pytest.approx(37 / 52, abs=1e-5)  # zeta Y / (mu + (1 - mu) Y), Y = 1/4, zeta = 37/40
    assert ratio > worst_case.repeated(2, 0.1, 1.0, 1.5)
    gaps = descended(matrix, start, alpha, 2)
    assert gaps[2] / gaps[0] == pytest.approx(float(ratio))


@given(st.floats(0.001, 0.499), st.floats(0.001, 1.999))
def test_two_steps_are_below_zeta_squared(mu, alpha):
    once = zeta(mu, 1.0, alpha)
    assert worst_case.two_steps(mu, 1.0, alpha) < once**2 * (1 + 1e-12)
    assert worst_case.two_steps(mu, 1.0, alpha) == pytest.approx(worst_case.two_steps(3 * mu, 3.0, alpha / 3))
    assert worst_case.repeated(1, mu, 1.0, alpha) == once


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_random_quadratics_never_leave_more(seed):
    """L alpha <= 1; H of any mu and L, x_0 anywhere, and with g_2 = 0: zeta (1 - alpha mu)^(2 (k - 1)) for k <= 4."""
    draw = np.random.default_rng(seed)
    root = draw.normal(size=(2, 2)) * [1, draw.random()]
    matrix = root.T @ root
    exact = curvature(tuple(tuple(F(value) for value in row) for row in (matrix + matrix.T) / 2))
    mu, L = float(exact.mu), float(exact.L)
    alpha = (1 - draw.random()) / L
    for g in (draw.normal(size=2), np.array([1.0, 0.0])):
        gaps = descended(matrix, np.linalg.solve(matrix, g), alpha, 4)
        for k in range(1, 5):
            limit = zeta(mu, L, alpha) * (1 - alpha * mu) ** (2 * k - 2)
            assert gaps[k] / gaps[0] <= limit + 1e-9 * np.linalg.cond(matrix)


def test_two_steps_on_one_line():
    """0 < L alpha < 2: where sign g_1 = sign g_0 or -sign g_0, without zeros, `two_steps` is not exceeded."""
    draw, met, largest = np.random.default_rng(5), {1.0: 0, -1.0: 0}, 0.0
    for _ in range(2000):
        root = draw.normal(size=(2, 2)) * [1, draw.random()]
        matrix = root.T @ root
        mu = 1 / np.linalg.inv(matrix).diagonal().max()
        L = matrix.trace() + 2 * abs(matrix[0, 1])
        alpha, x = 2 * draw.random() / L, draw.normal(size=2)
        after = x - alpha * np.abs(matrix @ x).sum() * np.sign(matrix @ x)
        turned = set(np.sign(matrix @ x) * np.sign(matrix @ after))
        if len(turned) == 1 and mu < 0.499 * L:
            met[turned.pop()] += 1
            gaps = descended(matrix, x, alpha, 2)
            largest = max(largest, gaps[2] / gaps[0] / worst_case.two_steps(mu, L, alpha))
    assert min(met.values()) > 100
    assert 0.9 < largest <= 1 + 1e-9


@pytest.mark.parametrize(("mu", "alpha"), [(0.1, 1.0), (0.25, 0.5), (0.1, 1.5)])
def test_the_search_over_quadratics(mu, alpha):
    """It meets no zeros, and finds the worst case without them."""
    limit = worst_case.without_zeros(mu, 1.0, alpha) if alpha <= 1 else worst_case.overshot(mu, 1.0, alpha)
    assert worst_case.worst_quadratic(2, mu, 1.0, alpha) == pytest.approx(limit, rel=1e-6)
    assert limit <= worst_case.two_steps(mu, 1.0, alpha)
    assert worst_case.worst_quadratic(1, mu, 1.0, alpha) == pytest.approx(zeta(mu, 1.0, alpha), abs=1e-4)


def test_the_relaxation():
    """What the search finds under necessary conditions is what the instances reach, and less than zeta^2 by 0.03."""
    mu, alpha = 0.25, 0.5
    found, signs = worst_case.relaxed(2, mu, 1.0, alpha, starts=2)
    assert found == pytest.approx(worst_case.two_steps(mu, 1.0, alpha), abs=1e-6)
    assert found < zeta(mu, 1.0, alpha) ** 2 - 0.03
    assert signs[0] == (1, 0)
    without, signs = worst_case.relaxed(2, mu, 1.0, alpha, starts=2, zeros=False)
    assert without == pytest.approx(worst_case.without_zeros(mu, 1.0, alpha), abs=1e-6)
    assert np.all(signs)
    assert worst_case.relaxed(1, mu, 1.0, alpha, starts=3)[0] == pytest.approx(zeta(mu, 1.0, alpha), abs=1e-6)


def test_the_relaxation_where_steps_are_long():
    """Less than zeta^2 by 0.19."""
    found, signs = worst_case.relaxed(2, 0.25, 1.0, 1.5, starts=2, zeros=False)
    assert found == pytest.approx(worst_case.overshot(0.25, 1.0, 1.5), abs=1e-6)
    assert found < zeta(0.25, 1.0, 1.5) ** 2 - 0.19
    assert signs == ((1, 1), (-1, -1))


def test_the_conditions_of_the_relaxation_are_necessary():
    """Every quadratic's own points meet them: for random H, with its mu and L, and random x_i and x_j."""
    draw = np.random.default_rng(3)
    for _ in range(200):
        root = draw.normal(size=(2, 2)) * [1, draw.random()]
        matrix = root.T @ root
        exact = curvature(tuple(tuple(F(value) for value in row) for row in (matrix + matrix.T) / 2))
        mu, L = float(exact.mu), float(exact.L)
        points = draw.normal(size=(3, 2))
        for x, y in permutations(points, 2):
            bregman = (x - y) @ matrix @ (x - y) / 2
            for c in range(2):
                less = matrix @ (x - y) - mu * (x - y)[c] * np.eye(2)[c]
                assert bregman >= mu / 2 * (x - y)[c] ** 2 + np.abs(less).sum() ** 2 / (2 * (L - mu)) - 1e-9 * L


@pytest.mark.parametrize("mu", [0.001, 0.1, 0.4])
def test_the_best_step(mu):
    best = worst_case.best_step(mu, 1.0)
    assert 1 < best < 1.5
    least = worst_case.two_steps(mu, 1.0, best)
    assert all(worst_case.two_steps(mu, 1.0, a) >= least * (1 - 1e-9) for a in np.linspace(0.01, 1.99, 200))
    assert worst_case.best_step(3 * mu, 3.0) == pytest.approx(best / 3)


def test_one_dimension():
    """GD on mu x^2/2 and L x^2/2 attains it, and it is less than (16) unless mu = L."""
    assert worst_case.line_rate(0.1, 1.0, 1.0) == pytest.approx(0.81)
    assert worst_case.line_rate(0.1, 1.0, 1.9) == pytest.approx(0.81)
    assert all(worst_case.line_rate(0.1, 1.0, a) < zeta(0.1, 1.0, a) for a in np.linspace(0.01, 1.99, 50))


def test_what_is_refused():
    for call in (
        lambda: worst_case.repeated(0, 0.1, 1.0, 1.0),
        lambda: worst_case.repeated(2, 0.5, 1.0, 1.0),
        lambda: worst_case.overshot(0.1, 1.0, 2.0),
        lambda: worst_case.relaxed(2, 0.6, 1.0, 1.0),
    ):
        with pytest.raises(ValueError, match=r"k >= 1|mu < L/2|alpha < 2/L"):
            call()
