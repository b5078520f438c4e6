"""Passes over dense rows and float32 products against many digits, and f* and L that are found by them."""

import sys
import warnings

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpisign.comm.communicator import SerialCommunicator
from mpisign.data.linear_rows import DenseRows, signed
from mpisign.problems.distributed_objective import Objective
from mpisign.problems.logistic import Logistic
from mpisign.problems.logistic_sums import LogisticSums
from mpisign.problems.solving import largest_hessian
from mpisign.problems.solving import newton as solver
from mpisign.problems.solving.newton import newton
from objectives import brute_force, constants, seeds

LOGISTIC = sys.modules[Logistic.__module__]
EPSILON = np.finfo(float).eps


def some_rows(seed, n, d, dtype=np.float32, scale=1.0):
    return (scale * np.random.default_rng(seed).standard_normal((n, d))).astype(dtype)


def of(rows):
    return Logistic(DenseRows({"rows": rows}))


def parts(problem, x, direction, order):
    """f, gradient and curvature of each segment, asked for in some order, in the order of the segments."""
    found = np.full((problem.segments, 1 + 2 * problem.dimension), np.nan)
    for segment in order:
        d = problem.dimension
        problem.part(x[None], segment, found[segment : segment + 1, : 1 + d])
        problem.curvature_part(x, direction, segment, found[segment, 1 + d :])
    return found


@settings(max_examples=25)
@given(
    seed=seeds,
    n=st.integers(1, 40),
    d=st.sampled_from([1, 2, 31, 32, 33, 64, 70]),
    dtype=st.sampled_from([np.float32, np.float64]),
    scale=st.sampled_from([1e-3, 1.0, 30.0, 1e4]),
)
def test_the_passes_are_their_formulas_in_long_double(seed, n, d, dtype, scale):
    """Within the rounding of float64 sums of d products and n rows, relative to what is added, for every dtype."""
    rows, rng = some_rows(seed, n, d, dtype, scale), np.random.default_rng(seed)
    x, direction = rng.standard_normal((2, d))
    found = parts(of(rows), x, direction, range(16)).sum(axis=0)
    c, t, v = (array.astype(np.longdouble) for array in (rows, x, direction))
    margins, sizes, off = c @ t, abs(c), EPSILON * (d + n + 10)
    small = np.exp(-abs(margins))
    pulls = np.where(margins >= 0, small, 1) / (1 + small)
    curved = small / (1 + small) ** 2
    moved = off * (sizes @ abs(t))  # of each margin
    value = (np.log1p(small) + np.maximum(-margins, 0)).mean() + t @ t / (2 * n)
    assert abs(found[0] - value) <= moved.mean() + off * value
    gradient, error = t / n - pulls @ c / n, ((pulls * off + moved * pulls) @ sizes + off * abs(t)) / n
    assert (abs(found[1 : 1 + d] - gradient) <= error).all()
    product, along = (curved * (c @ v)) @ c / n + v / n, sizes @ abs(v)
    error = ((curved * (off + moved) * along) @ sizes + off * abs(v)) / n
    assert (abs(found[1 + d :] - product) <= 2 * error).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("margin", [-1e300, -1e4, -745.2, -40.0, 1e-9, 40.0, 745.2, 1e4, 1e300])
def test_extreme_margins(margin, dtype):
    """exp(-|m|) neither overflows nor is lost beside 1: with 20 digits."""
    found = np.zeros((1, 2))
    with warnings.catch_warnings(action="error"):
        LogisticSums(DenseRows({"rows": np.ones((1, 1), dtype)})).add_losses(np.array([[margin]]), 15, found)
    with mpmath.workdps(20):
        m = mpmath.mpf(margin)
        value, slope = mpmath.log1p(mpmath.exp(-abs(m))) + max(-m, 0), -1 / (1 + mpmath.exp(m))
        assert found[0] == pytest.approx([float(value), float(slope)], rel=1e-14)


def test_what_is_no_number_stays_so():
    found = np.zeros((1, 3))
    LogisticSums(DenseRows({"rows": np.ones((1, 2))})).add_losses(np.array([[np.inf, -np.inf]]), 15, found)
    assert np.isnan(found).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_segments_have_the_same_bits_whoever_computes_them(dtype):
    """One process, owners of every second and third segment, and others whose weights are of another point."""
    rows, rng = some_rows(1, 400, 37, dtype), np.random.default_rng(1)
    x, direction = rng.standard_normal((2, 37))
    alone = parts(of(rows), x, direction, range(16))
    for owners in (2, 3):
        shared = np.full_like(alone, np.nan)
        for owner in range(owners):
            mine, problem = range(owner, 16, owners), of(rows)
            parts(problem, direction, x, reversed(mine))
            shared[owner::owners] = parts(problem, x, direction, mine)[owner::owners]
        assert (shared == alone).all()
    later = of(rows)  # the curvature without f before
    product = np.empty(37)
    later.curvature_part(x, direction, 5, product)
    assert (product == alone[5, 38:]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sizes_and_squares_are_sums_in_float64(dtype):
    """Squares of 1e25 are none of float32."""
    rows = some_rows(2, 50, 40, dtype, 1e25)
    c, sums = rows.astype(np.longdouble), LogisticSums(DenseRows({"rows": rows}))
    margins, totals = sums.sizes(np.arange(40.0))
    assert margins == pytest.approx((abs(c) @ np.arange(40.0)).astype(float), rel=1e-14)
    expected = [abs(c).sum(axis=0), (abs(c) @ np.arange(40.0)) @ abs(c)]
    assert totals == pytest.approx(np.array(expected, dtype=float), rel=1e-14)
    assert sums.mean_squares == pytest.approx((c * c).mean(axis=0).astype(float), rel=1e-14)


@settings(max_examples=10)
@given(seed=seeds, scale=st.sampled_from([1e-25, 1.0, 1e6]))
def test_the_error_of_float32_products_is_covered(seed, scale):
    """Rows of one sign and of nearly one size, whose sums lose the most; the products are exact in long double."""
    rows = some_rows(seed, 12_000, 3, scale=0.1) + np.float32(1)
    rows *= np.float32(scale)
    problem = of(rows)
    found, exact = Objective(problem, SerialCommunicator()).gram(), rows.astype(np.longdouble)
    sums = LogisticSums(problem.rows)
    error = float(abs(found - exact.T @ exact).sum())
    assert 0 < error <= sums.gram_error()


@pytest.fixture
def from_d_5(monkeypatch):
    """What is done beyond d = 512, for a few coordinates."""
    for module in (LOGISTIC, largest_hessian, solver):
        monkeypatch.setattr(module, "SMALL", 4)


@pytest.mark.parametrize("seed", range(4))
def test_L_by_float32_products_is_between_limits(seed, from_d_5, monkeypatch):
    rows = some_rows(seed, 300, 9)
    exact = rows.astype(float)
    truth = brute_force(exact.T @ exact / 1200 + np.eye(9) / 300)
    assert constants(of(rows))["L"] == (pytest.approx(truth, rel=1e-13), "exact")  # in float64, as float32 shows less
    monkeypatch.setattr(largest_hessian, "_FINER", 0)
    found = constants(of(rows))
    assert (found["L"].how, found["L_lower"].how) == ("upper", "lower")
    assert found["L_lower"].value < truth < found["L"].value < 1.0005 * found["L_lower"].value


def test_f_star_does_not_depend_on_the_hessian_that_leads_to_it():
    """With float32's, with float64's, and with none: equal within the errors, and in fewer passes."""
    features, labels = some_rows(4, 2000, 520) + some_rows(5, 2000, 1), np.resize([1.0, -1.0], 2000)
    found, passes, plain = [], [], []
    for dtype in (np.float32, np.float64):
        problem = Logistic(signed(features.astype(dtype), labels))
        found.append(problem.minimum(Objective(problem, SerialCommunicator(), count=passes.append)))
    _, value, _ = newton(Objective(problem, SerialCommunicator(), count=plain.append), problem._steepness)
    assert max(m.error for m in found) < 1e-10
    assert abs(found[0].value - found[1].value) <= found[0].error + found[1].error
    assert abs(found[0].value - value) <= found[0].error + 1e-12
    assert 2 * passes[-1] < plain[-1]


def test_f_star_where_float32_products_overflow():
    features, labels = some_rows(5, 8, 520, scale=1e25), np.resize([1.0, -1.0], 8)
    problem = Logistic(signed(features, labels))
    with warnings.catch_warnings(action="error"):
        found = problem.minimum(Objective(problem, SerialCommunicator()))
        known = problem.constants(Objective(problem, SerialCommunicator()))
    assert 0 <= found.value <= found.error < 1e-8
    trace = np.square(features.astype(float)).sum() / 32
    assert trace <= known["L"].value <= 520 * trace
