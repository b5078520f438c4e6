"""Example 5's logistic regression against its formula, many digits and other optimisers."""

import hashlib
import sys
import tracemalloc
import warnings

import mpmath
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

from mpisign.comm.communicator import SerialCommunicator
from mpisign.config.validation import InputError
from mpisign.data.bundled import BUNDLED, SPARSE
from mpisign.data.linear_rows import signed
from mpisign.data.loading import load
from mpisign.problems import PROBLEMS
from mpisign.problems.distributed_objective import Objective
from mpisign.problems.logistic import Logistic
from mpisign.problems.regularisers import Nonconvex
from mpisign.problems.solving.newton import descend, newton
from objectives import (
    assert_limits_smoothness,
    brute_force,
    constants,
    evaluated,
    fitted,
    gradient,
    seeds,
    somewhere,
)


def small_logistic(seed, n=7, d=4):
    rng = np.random.default_rng(seed)
    features, labels = rng.standard_normal((n, d)), rng.permutation(np.resize([-1.0, 1.0], n))
    return features, labels, Logistic(signed(features, labels))


class Counting(SerialCommunicator):
    """Keeps how many numbers each broadcast sends."""

    def __init__(self):
        super().__init__()
        self.sent = []

    def broadcast(self, row):
        self.sent.append(len(row))


def test_no_more_is_sent_than_is_asked_about():
    """Of a problem without data nothing is asked, and d may be 10^8."""
    ranks = Counting()
    objective = Objective(small_logistic(1)[2], ranks)
    d = objective.dimension
    objective.finish()
    assert ranks.sent == [2]
    objective.value_and_gradient(np.zeros(d))
    objective.curvature(np.zeros(d), np.ones(d))
    assert ranks.sent == [2, 2, d, 2, 2 * d]


@settings(max_examples=15)
@given(seed=seeds, n=st.integers(2, 40), d=st.integers(1, 6))
def test_L_of_logistic_regression(seed, n, d):
    features, _, problem = small_logistic(seed, n, d)
    # The Hessian is largest at 0, where each s(1 - s) is 1/4.
    assert_limits_smoothness(constants(problem)["L"], features.T @ features / (4 * n) + np.eye(d) / n)


def test_L_of_logistic_regression_is_attained_with_one_direction_of_data():
    features = np.array([[1.0, -2.0, 3.0], [-2.0, 4.0, -6.0]])
    constant = constants(Logistic(signed(features, np.array([1.0, -1.0]))))["L"]
    assert constant.value == pytest.approx(brute_force(features.T @ features / 8 + np.eye(3) / 2), rel=1e-14)


@settings(max_examples=15)
@given(seed=seeds)
def test_mu_of_logistic_regression_is_not_above_the_curvature_far_away(seed):
    _, _, problem = small_logistic(seed)
    far = 1e6 * np.random.default_rng(seed).standard_normal(4)
    mu = constants(problem)["mu"]
    assert mu == (1 / 7, "exact")
    for axis in np.eye(4):
        curvature = (gradient(problem, far + 1e3 * axis) - gradient(problem, far)) @ axis / 1e3
        assert mu.value <= curvature * (1 + 1e-6)


def test_mu_of_logistic_regression_is_reached_far_away_whatever_rows_are_zero():
    """A zero row has no curvature to lose."""
    problem = Logistic(signed(np.array([[1.0, 2.0], [0.0, 0.0], [-1.0, 1.0]]), np.array([1.0, -1.0, 1.0])))
    curvature = Objective(problem, SerialCommunicator()).hessian(np.array([1e4, 1e3]))
    assert curvature == pytest.approx(np.eye(2) / 3, abs=1e-300)
    assert constants(problem)["mu"] == (1 / 3, "exact")


def test_mu_at_the_minimum():
    """By the inverse of a Hessian of differences."""
    _, _, problem = small_logistic(4, n=30, d=3)
    x = newton(Objective(problem, SerialCommunicator()))[0]
    h = 1e-5
    hessian = np.array([(gradient(problem, x + h * e) - gradient(problem, x - h * e)) / (2 * h) for e in np.eye(3)])
    found = constants(problem)["mu_at_minimum"]
    assert found == (pytest.approx(1 / np.linalg.inv(hessian).diagonal().max(), rel=1e-7), "estimate")
    assert found.value > constants(problem)["mu"].value


def test_L_of_wide_or_large_data_is_between_limits(monkeypatch):
    """With no Hessian at hand: still the limits of what the Hessian gives exactly."""
    for seed in range(5):
        _, _, problem = small_logistic(seed, n=30, d=5)
        exact = constants(problem)["L"]
        with monkeypatch.context() as patch:
            patch.setattr("mpisign.problems.solving.largest_hessian._WORK", 10)
            found = constants(problem)
        assert (found["L"].how, found["L_lower"].how, exact.how) == ("upper", "lower", "exact")
        assert found["L_lower"].value <= exact.value <= found["L"].value
        assert found["L_lower"].value > 0.6 * exact.value


@pytest.mark.parametrize("entries", [1, 13, 20, 10**6])
def test_the_hessian_in_blocks_is_the_hessian(monkeypatch, entries):
    monkeypatch.setattr("mpisign.problems.distributed_objective._ENTRIES", entries)
    features, labels, problem = small_logistic(2, n=40, d=6)
    x = np.linspace(-1, 1, 6)
    pulls = 1 / (1 + np.exp(features @ x * labels))
    expected = features.T @ ((pulls * (1 - pulls))[:, None] * features) / 40 + np.eye(6) / 40
    found = Objective(problem, SerialCommunicator()).hessian(x)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-14)
    assert (found == found.T).all()


def nonconvex(seed=1, weight=0.25):
    features, labels, _ = small_logistic(seed)
    return features, labels, Logistic(signed(features, labels), Nonconvex(weight))


@given(seed=seeds)
def test_the_nonconvex_regulariser_is_its_formula(seed):
    features, labels, problem = nonconvex(seed)
    x, plain = somewhere(problem, seed)[0], Logistic(signed(features, labels))
    plus = np.array([float(0.25 * t**2 / (1 + t**2)) for t in map(mpmath.mpf, x)])
    slope = np.array([float(0.5 * t / (1 + t**2) ** 2) for t in map(mpmath.mpf, x)])
    curve = np.array([float(0.5 * (1 - 3 * t**2) / (1 + t**2) ** 3) for t in map(mpmath.mpf, x)])
    assert problem.value(x) == pytest.approx(plain.value(x) - x @ x / 14 + plus.sum(), rel=1e-10, abs=1e-12)
    assert gradient(problem, x) == pytest.approx(gradient(plain, x) - x / 7 + slope, rel=1e-11, abs=1e-12)
    change = Objective(problem, SerialCommunicator()).hessian(x) - Objective(plain, SerialCommunicator()).hessian(x)
    assert change == pytest.approx(np.diag(curve - 1 / 7), rel=1e-11, abs=1e-13)
    assert problem.regulariser.curvature(x) == pytest.approx(curve, rel=1e-11, abs=1e-14)


@pytest.mark.parametrize("size", [1e-200, 1e10, 1e155, 1e308])
def test_the_nonconvex_regulariser_does_not_overflow(size):
    regulariser, x, out = Nonconvex(0.5), np.array([-size]), np.zeros(1)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        regulariser.gradient(x, out)
        t = mpmath.mpf(size)
        assert regulariser.values(x[None])[0] == pytest.approx(float(t**2 / (1 + t**2) / 2), rel=1e-15)
        assert out[0] == pytest.approx(float(-t / (1 + t**2) ** 2), rel=1e-14)
        assert regulariser.curvature(x)[0] == pytest.approx(float((1 - 3 * t**2) / (1 + t**2) ** 3), rel=1e-13)


@pytest.mark.parametrize("seed", range(8))
def test_f_star_of_nonconvex_logistic_regression_is_within_its_error(seed):
    """What is found from another start is not below it by more; what is found is a stationary point."""
    _, _, problem = nonconvex(seed)
    found = problem.minimum(Objective(problem, SerialCommunicator()))
    other = scipy.optimize.minimize(problem.value, somewhere(problem, seed)[0], jac=lambda x: gradient(problem, x))
    assert found.value - found.error <= other.fun
    assert found.value <= problem.value(np.zeros(4))
    x = descend(Objective(problem, SerialCommunicator()), tolerance=1e-13)
    assert problem.value(x) == pytest.approx(found.value, rel=1e-12)
    assert np.abs(gradient(problem, x)).max() < 1e-5


def test_what_is_kept_differs_by_the_regulariser():
    _, _, plain = small_logistic(1)
    variants = {problem.variant for problem in (plain, nonconvex()[2], nonconvex(weight=0.5)[2])}
    assert len(variants) == 3
    assert variants == {plain.variant, "nonconvex 0.25", "nonconvex 0.5"}


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


@pytest.mark.parametrize(
    ("data", "scaling"),
    [
        (name, scaling)
        for name in BUNDLED
        for scaling in (("raw",) if name in SPARSE else ("unit-rows", "standardised", "raw"))
    ],
)
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
    minimum = problem.minimum(Objective(problem, SerialCommunicator()))
    assert abs(minimum.value - value) <= minimum.error <= 1e-10


def test_the_sha256_is_of_the_signed_rows():
    features, labels, problem = small_logistic(1)
    rows = features * labels[:, None]
    assert problem.data_sha256() == hashlib.sha256(b"rows <f8 (7, 4)\n" + rows.tobytes()).hexdigest()
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
    with pytest.raises(InputError, match="data"):
        signed(np.array(features), np.array(labels))


def test_the_error_of_f_star_covers_a_poor_minimiser(monkeypatch):
    """Off by 0.1 in a direction that no data point sees, where f has the curvature mu = 1/n: the bound is attained."""
    features, labels, problem = small_logistic(3, n=20, d=3)
    features[:, 2] = 0.0
    problem = Logistic(signed(features, labels))
    best = problem.minimum(Objective(problem, SerialCommunicator()))

    def rough(objective, *scale):
        x = newton(objective, *scale)[0] + np.array([0.0, 0.0, 0.1])
        return x, *objective.value_and_gradient(x)

    monkeypatch.setattr(sys.modules[Logistic.__module__], "newton", rough)
    problem = Logistic(signed(features, labels))
    found = problem.minimum(Objective(problem, SerialCommunicator()))
    assert found.value - best.value == pytest.approx(0.1**2 / (2 * 20), rel=1e-6)
    assert found.value - found.error <= best.value <= found.value
    assert found.error == pytest.approx(found.value - best.value, rel=1e-6)


def test_the_rounding_of_the_largest_hessian_is_in_L(monkeypatch):
    """What L is told of it covers its distance from the same sum with more digits."""
    features, _, problem = small_logistic(5, n=3000, d=6)
    told = {}

    def smoothness(hessian, error):
        told.update(h=hessian, e=error)
        return {}

    monkeypatch.setattr("mpisign.problems.solving.largest_hessian.smoothness", smoothness)
    problem.constants(Objective(problem, SerialCommunicator()))
    exact = features.astype(np.longdouble).T @ features.astype(np.longdouble) / 12000 + np.eye(6) / np.longdouble(3000)
    assert 0 < float(np.abs(told["h"] - exact).sum()) <= told["e"] < 1e-6


def test_a_block_of_the_hessian_takes_no_room_for_the_whole():
    """Next to a block of 8 rows of 16 kB, the whole would be 32 MB."""
    d = 2000
    problem, out = small_logistic(3, n=5, d=d)[2], np.empty((8, d))
    whole = np.diag(problem.regulariser.curvature(np.zeros(d)))
    for segment in range(1, problem.segments):
        part = np.empty((d, d))
        problem.hessian_part(np.zeros(d), slice(0, d), segment, part)
        whole += part
    tracemalloc.start()
    problem.hessian_part(np.zeros(d), slice(16, 24), 0, out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**21
    for segment in range(1, problem.segments):
        part = np.empty((8, d))
        problem.hessian_part(np.zeros(d), slice(16, 24), segment, part)
        out += part
    assert out[:, 16:] == pytest.approx(whole[16:24, 16:], rel=1e-12)  # what is left of it is known by symmetry
