"""Example 5's logistic regression against its formula, many digits and other optimisers."""

import hashlib
import warnings

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_problems import assert_limits_smoothness, brute_force, evaluated, few, fitted, gradient, seeds, somewhere

from mpisign.datasets import BUNDLED, load
from mpisign.exchange import Alone
from mpisign.objective import Objective
from mpisign.problems import PROBLEMS
from mpisign.problems.logistic import Logistic
from mpisign.rows import signed
from mpisign.settings import BadInput


def small_logistic(seed, n=7, d=4):
    rng = np.random.default_rng(seed)
    features, labels = rng.standard_normal((n, d)), rng.permutation(np.resize([-1.0, 1.0], n))
    return features, labels, Logistic(signed(features, labels))


@few
@given(seed=seeds, n=st.integers(2, 40), d=st.integers(1, 6))
def test_L_of_logistic_regression(seed, n, d):
    features, _, problem = small_logistic(seed, n, d)
    # The Hessian is largest at 0, where each s(1 - s) is 1/4.
    assert_limits_smoothness(problem.constants()["L"], features.T @ features / (4 * n) + np.eye(d) / n)


def test_L_of_logistic_regression_is_attained_with_one_direction_of_data():
    features = np.array([[1.0, -2.0, 3.0], [-2.0, 4.0, -6.0]])
    constant = Logistic(signed(features, np.array([1.0, -1.0]))).constants()["L"]
    assert constant.value == pytest.approx(brute_force(features.T @ features / 8 + np.eye(3) / 2), rel=1e-14)


@few
@given(seed=seeds)
def test_mu_of_logistic_regression_is_not_above_the_curvature_far_away(seed):
    _, _, problem = small_logistic(seed)
    far = 1e6 * np.random.default_rng(seed).standard_normal(4)
    for axis in np.eye(4):
        curvature = (gradient(problem, far + 1e3 * axis) - gradient(problem, far)) @ axis / 1e3
        assert problem.constants()["mu"].value <= curvature * (1 + 1e-6)


@few
@given(seed=seeds, n=st.integers(2, 40), d=st.integers(1, 80))
def test_logistic_regression_is_its_formula(seed, n, d):
    """n from few points, which leave segments empty; d up to two full turns of 32 lanes and a rest."""
    features, labels, problem = small_logistic(seed, n, d)
    x = somewhere(problem, seed)[0]
    margins = labels * (features @ x)
    value = np.log(1 + np.exp(-margins)).mean() + x @ x / (2 * n)
    slope = x / n - (labels / (1 + np.exp(margins))) @ features / n
    assert problem.value(x) == pytest.approx(value, rel=1e-12)
    assert gradient(problem, x) == pytest.approx(slope, rel=1e-11, abs=1e-12)
    assert evaluated(problem, x[None])[0] == pytest.approx(np.array([value, *slope]), rel=1e-11, abs=1e-12)


def test_the_parts_add_up_over_many_points():
    """More than a block of 2048 in each of the 16 segments."""
    _, _, problem = small_logistic(3, n=16 * 2048 + 40, d=2)
    x = np.array([0.5, -1.0])
    expected = np.array([problem.value(x), *gradient(problem, x)])
    assert evaluated(problem, x[None])[0] == pytest.approx(expected, rel=1e-10)


@few
@given(seed=seeds, samples=st.lists(st.integers(0, 6), min_size=1, max_size=12))
def test_a_minibatch_is_the_mean_over_its_samples(seed, samples):
    _, _, problem = small_logistic(seed)
    x = somewhere(problem, seed)[0]
    single = np.full((7, 4), np.nan)
    for sample, out in enumerate(single):
        problem.minibatch(x, np.array([sample]), out)
    mean = np.full(4, np.nan)
    problem.minibatch(x, np.array(samples), mean)
    assert mean == pytest.approx(single[samples].mean(axis=0), rel=1e-12, abs=1e-13)
    problem.minibatch(x, np.random.default_rng(seed).permutation(7), mean)
    assert mean == pytest.approx(gradient(problem, x), rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("margin", [-1e4, -745.2, -40.0, 1e-9, 40.0, 745.2, 1e4])
def test_logistic_regression_at_large_margins(margin):
    problem = Logistic(signed(np.array([[1.0], [-2.0]]), np.array([1.0, -1.0])))
    x = np.array([margin])
    with mpmath.workdps(30):
        t = mpmath.mpf(margin)
        value = (mpmath.log1p(mpmath.exp(-t)) + mpmath.log1p(mpmath.exp(-2 * t))) / 2 + t**2 / 4
        slope = t / 2 - (1 / (1 + mpmath.exp(t)) + 2 / (1 + mpmath.exp(2 * t))) / 2
        value, slope = float(value), float(slope)
    with warnings.catch_warnings(action="error"):
        assert problem.value(x) == pytest.approx(value, rel=1e-14)
        assert gradient(problem, x)[0] == pytest.approx(slope, rel=1e-13)
        assert evaluated(problem, x[None])[0] == pytest.approx(np.array([value, slope]), rel=1e-13)


def test_logistic_gradient_keeps_a_weight_below_rounding():
    """exp(-40) is lost beside 1, and is all there is in the second coordinate."""
    problem = Logistic(signed(np.array([[40.0, 1.0], [40.0, 3.0]]), np.array([1.0, -1.0])))
    out = np.full(2, np.nan)
    problem.minibatch(np.array([1.0, 0.0]), np.array([0]), out)
    assert out[1] == pytest.approx(-float(1 / (1 + mpmath.exp(40))), rel=1e-13)


@pytest.mark.parametrize("scaling", ["unit-rows", "standardised", "raw"])
@pytest.mark.parametrize("data", list(BUNDLED))
def test_the_minimum_of_logistic_regression(data, scaling):
    """Against f at scikit-learn's point, in long double, which the gradient there shows to be f*."""
    table = {"data": data, "scaling": scaling}
    problem = PROBLEMS.make({"kind": "logistic", **table}, "problem")
    features, labels = load(data, scaling)
    x = fitted(problem, table).astype(np.longdouble)
    rows = (features * labels[:, None]).astype(np.longdouble)
    n = len(rows)
    value = np.log1p(np.exp(-(rows @ x))).mean() + x @ x / (2 * n)
    slope = x / n - (1 / (1 + np.exp(rows @ x))) @ rows / n
    assert slope @ slope * n / 2 < 1e-15  # value is f* to 1e-15, by strong convexity
    minimum = problem.minimum(Objective(problem, Alone()))
    assert abs(minimum.value - value) <= minimum.error <= 1e-10


def test_the_sha256_is_of_the_signed_rows():
    features, labels, problem = small_logistic(1)
    assert problem.data_sha256() == hashlib.sha256((features * labels[:, None]).tobytes()).hexdigest()
    assert PROBLEMS["toy"]().data_sha256() == ""


@pytest.mark.parametrize(
    ("features", "labels"),
    [
        ([[np.nan], [1.0]], [1.0, -1.0]),
        ([[np.inf], [1.0]], [1.0, -1.0]),
        ([[1.0], [2.0]], [1.0, 1.0]),
        ([[1.0], [2.0]], [1.0, 0.0]),
        ([[1.0], [2.0], [3.0]], [1.0, -1.0, 0.0]),
    ],
)
def test_logistic_regression_needs_finite_features_and_signs(features, labels):
    with pytest.raises(BadInput, match="data"):
        signed(np.array(features), np.array(labels))
