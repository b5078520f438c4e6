"""Every problem against finite differences, brute force, high precision and other optimisers."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from mpisign.comm.communicator import SerialCommunicator
from mpisign.config.validation import InputError
from mpisign.problems import PROBLEMS, Problem
from mpisign.problems.distributed_objective import Objective
from mpisign.theory.definiteness import rank_of_semidefinite
from objectives import (
    assert_limits_smoothness,
    constants,
    evaluated,
    fitted,
    gradient,
    random_hessian,
    seeds,
    somewhere,
)

ROUNDING = 1e-14


def origin(problem, table):
    return np.zeros(problem.dimension)


DEFINITE = {"L": "exact", "mu": "exact"}


class Example(NamedTuple):
    """What a job file says, a minimiser found elsewhere (or None), and the constants with how each is known."""

    table: dict
    minimiser: Callable | None = origin
    constants: dict = DEFINITE


SINGULAR = {"L": "exact", "mu_PL": "exact"}
PL_ONLY = {"L": "exact", "mu_PL": "lower"}
LOGISTIC = {"L": "exact", "mu": "exact", "mu_at_minimum": "estimate"}
WIDE = (np.eye(30) + np.cos(np.add.outer(np.arange(30), np.arange(30)) ** 2) / 60).tolist()
HILBERT = [[1 / (i + j + 1) for j in range(4)] for i in range(4)]
EXAMPLES = {
    "separable": [
        Example({"eigenvalues": [3.0, 0.5, 1.0]}),
        Example({"eigenvalues": [0.0, 2.0]}, constants=SINGULAR),
        Example({"eigenvalues": [7.0]}),
    ],
    "quadratic": [
        Example({"matrix": [[2.0, -1.0, 0.5], [-1.0, 3.0, 1.0], [0.5, 1.0, 1.0]]}),
        Example({"matrix": HILBERT}),
        Example({"matrix": [[1.0, 1.0], [1.0, 1.0]]}, constants=SINGULAR),
        Example({"matrix": [[2.0, -1.0, 0.0], [-1.0, 2.0, 3.0], [0.0, 3.0, 6.0]]}, constants=SINGULAR),
        Example({"matrix": WIDE}, constants={"L": "upper", "L_lower": "lower", "mu": "exact"}),
    ],
    "toy": [
        Example({}, constants=PL_ONLY),
        Example({"frequencies": [1.0, 0.2, 1.2]}, constants=PL_ONLY),
        Example({"frequencies": [0.5, 3.0]}, constants={"L": "exact"}),
    ],
    "finite-quadratic": [
        Example({"eigenvalues": [1.0, 2.0], "atoms": [[1.0, 0.0], [-0.5, 0.0]], "weights": [1 / 3, 2 / 3]}),
        Example({"matrix": HILBERT, "atoms": [[1.0, 2.0, 3.0, 4.0], [-1.0, -2.0, -3.0, -4.0]], "weights": [0.5, 0.5]}),
    ],
    "logistic": [
        Example({"data": "wine"}, fitted, LOGISTIC),
        Example({"data": "wine", "scaling": "standardised"}, fitted, LOGISTIC),
        Example({"data": "wine", "regulariser": "nonconvex"}, None, {"L": "exact"}),
        Example({"data": "wine", "regulariser": "nonconvex", "weight": 0.5}, None, {"L": "exact"}),
    ],
}
CASES = [(name, index) for name in EXAMPLES for index in range(len(EXAMPLES[name]))]
CONVEX = [(name, index) for name, index in CASES if "mu" in EXAMPLES[name][index].constants]
PL = [(name, index) for name, index in CASES if {"mu", "mu_PL"} & set(EXAMPLES[name][index].constants)]
SOLVED = [(name, index) for name, index in CASES if EXAMPLES[name][index].minimiser]
every_example = pytest.mark.parametrize("case", CASES, ids=str)


@cache
def made(case):
    name, index = case
    return PROBLEMS.make({"kind": name, **EXAMPLES[name][index].table}, "problem")


@cache
def best(case):
    name, index = case
    example = EXAMPLES[name][index]
    minimum = made(case).minimum(Objective(made(case), SerialCommunicator()))
    return minimum, (example.minimiser or origin)(made(case), example.table)


@cache
def known(case):
    return constants(made(case))


def pair(problem, seed):
    """Two points, near or far; they differ by a Gaussian, a sign vector or one coordinate."""
    rng = np.random.default_rng(seed)
    x = somewhere(problem, seed)[0]
    d = problem.dimension
    moves = (rng.standard_normal(d), rng.choice([-1.0, 1.0], d), np.eye(d)[rng.integers(d)])
    return x, x + 10 ** rng.uniform(-3, 1) * moves[rng.integers(3)]


@every_example
def test_what_overflows_is_no_exception(case):
    """A diverging run is recorded as diverged: f and its gradient become infinite or NaN, and say nothing."""
    problem = made(case)
    with np.errstate(all="ignore"):
        for size in (1e100, 1e155, 1e308, np.inf, np.nan):
            point = np.full((1, problem.dimension), size)
            assert not evaluated(problem, point)[0, 0] <= 1e99
            gradient(problem, point[0])


def test_a_coordinate_without_curvature_adds_nothing():
    assert PROBLEMS["separable"](eigenvalues=[0.0, 2.0]).value(np.array([1e200, 3.0])) == 9.0


def test_every_problem_has_an_example():
    assert set(EXAMPLES) == set(PROBLEMS)
    assert all(EXAMPLES.values())


@every_example
def test_the_known_constants(case):
    assert {name: constant.how for name, constant in known(case).items()} == EXAMPLES[case[0]][case[1]].constants


@every_example
@given(seed=seeds)
def test_gradient_is_the_derivative(case, seed):
    problem = made(case)
    x = somewhere(problem, seed)[0]
    h = 1e-5
    differences = [(problem.value(x + h * e) - problem.value(x - h * e)) / (2 * h) for e in np.eye(problem.dimension)]
    found = gradient(problem, x)
    assert found == pytest.approx(np.array(differences), abs=1e-8 * (1 + problem.value(x) + np.abs(found).max()))


@every_example
@given(seed=seeds, count=st.integers(1, 4))
def test_the_parts_add_up(case, seed, count):
    problem = made(case)
    points = somewhere(problem, seed, count)
    for point, (value, *slope) in zip(points, evaluated(problem, points), strict=True):
        expected = gradient(problem, point)
        assert value == pytest.approx(problem.value(point), rel=1e-13)
        assert slope == pytest.approx(expected, rel=1e-12, abs=1e-13 * (1 + np.abs(expected).max()))


@every_example
@given(seed=seeds, distance=st.sampled_from([1e-8, 1e-6, 1e-4, 1.0]))
def test_no_value_is_below_the_minimum(case, seed, distance):
    problem = made(case)
    minimum, lowest = best(case)
    x = lowest + distance * somewhere(problem, seed)[0]
    assert problem.value(x) >= minimum.value - minimum.error - ROUNDING


@pytest.mark.parametrize("case", SOLVED, ids=str)
def test_the_minimum_is_the_value_at_a_minimiser(case):
    problem = made(case)
    minimum, lowest = best(case)
    assert 0 <= minimum.error <= 1e-10
    assert abs(problem.value(lowest) - minimum.value) <= minimum.error + ROUNDING
    assert np.abs(gradient(problem, lowest)).max() <= 1e-9


@every_example
@given(seed=seeds)
def test_smooth_in_the_infinity_norm(case, seed):
    problem = made(case)
    x, y = pair(problem, seed)
    bound = known(case)["L"].value * np.abs(x - y).max()
    slack = ROUNDING * np.abs(gradient(problem, x)).sum()
    assert np.abs(gradient(problem, x) - gradient(problem, y)).sum() <= bound * (1 + 1e-9) + slack


@pytest.mark.parametrize("case", CONVEX, ids=str)
@given(seed=seeds)
def test_strongly_convex_in_the_infinity_norm(case, seed):
    problem = made(case)
    x, y = pair(problem, seed)
    above = problem.value(x) - problem.value(y) - gradient(problem, y) @ (x - y)
    slack = ROUNDING * (problem.value(x) + problem.value(y) + np.abs(gradient(problem, y)) @ np.abs(x - y))
    assert above >= known(case)["mu"].value / 2 * np.abs(x - y).max() ** 2 * (1 - 1e-9) - slack


@pytest.mark.parametrize("case", PL, ids=str)
@given(seed=seeds)
def test_the_pl_inequality(case, seed):
    problem, minimum = made(case), best(case)[0]
    x = somewhere(problem, seed)[0]
    mu = max(known(case)[name].value for name in ("mu", "mu_PL") if name in known(case))
    gap = problem.value(x) - minimum.value - ROUNDING
    assert np.abs(gradient(problem, x)).sum() ** 2 >= 2 * mu * gap * (1 - 1e-9)


@given(values=st.lists(st.floats(0, 1e3), min_size=1, max_size=6).filter(any))
def test_constants_of_a_separable_quadratic(values):
    found = constants(PROBLEMS["separable"](eigenvalues=values))
    assert_limits_smoothness(found["L"], np.diag(values))
    assert found["mu" if all(values) else "mu_PL"] == (min(value for value in values if value), "exact")


@given(seed=seeds, d=st.integers(1, 6), rank=st.integers(1, 8))
def test_L_of_a_quadratic(seed, d, rank):
    hessian = random_hessian(seed, d, rank)
    assert_limits_smoothness(constants(PROBLEMS["quadratic"](matrix=hessian.tolist()))["L"], hessian)


@given(seed=seeds, d=st.integers(1, 6))
def test_mu_of_a_quadratic_is_its_least_value_on_the_faces_of_the_unit_cube(seed, d):
    hessian = random_hessian(seed, d, d) + 0.01 * np.eye(d)
    root = np.linalg.cholesky(hessian).T
    lowest = []
    for face in range(d):
        others = np.delete(root, face, axis=1)
        rest = root[:, face]
        if d > 1:  # the least |R v| with v_face = 1 and the others in [-1, 1], by an active-set method
            rest = rest + others @ lsq_linear(others, -rest, (-1, 1), method="bvls", tol=1e-14).x
        lowest.append(float(rest @ rest))
    mu = constants(PROBLEMS["quadratic"](matrix=hessian.tolist()))["mu"]
    assert mu == (pytest.approx(min(lowest), rel=1e-8), "exact")


def test_constants_of_the_toy():
    found = constants(PROBLEMS["toy"]())
    grid = np.linspace(1e-3, 20, 400_001)  # beyond 20, (2x - 3)^2 / (2 (x^2 + 3)) > 1.6
    ratio = (2 * grid + 3 * np.sin(2 * grid)) ** 2 / (2 * (grid**2 + 3 * np.sin(grid) ** 2))
    with mpmath.workdps(40):

        def log_ratio(x):
            return 2 * mpmath.log(2 * x + 3 * mpmath.sin(2 * x)) - mpmath.log(2 * (x**2 + 3 * mpmath.sin(x) ** 2))

        where = mpmath.findroot(lambda x: mpmath.diff(log_ratio, x), grid[ratio.argmin()])
        least = mpmath.exp(log_ratio(where))
        assert abs(where - grid[ratio.argmin()]) < 1e-4
        assert 0 <= least - found["mu_PL"].value < 1e-12
        curvature = [abs(mpmath.diff(lambda x: x**2 + 3 * mpmath.sin(x) ** 2, x, 2)) for x in grid[:80_000:200]]
        curvature.append(abs(mpmath.diff(lambda x: x**2 + 3 * mpmath.sin(x) ** 2, 0, 2)))
        assert found["L"].how == "exact"
        assert float(max(curvature)) == pytest.approx(found["L"].value, rel=1e-12)


FINITE = {"kind": "finite-quadratic", "eigenvalues": [1.0], "atoms": [[1.0], [-1.0]], "weights": [0.5, 0.5]}
REFUSED = [
    ({"kind": "separable", "eigenvalues": []}, "eigenvalues"),
    ({"kind": "separable", "eigenvalues": [0.0, 0.0]}, "eigenvalues"),
    ({"kind": "separable", "eigenvalues": [1.0, -1.0]}, "eigenvalues"),
    ({"kind": "separable", "eigenvalues": [float("nan")]}, "eigenvalues"),
    ({"kind": "separable"}, "eigenvalues"),
    ({"kind": "quadratic", "matrix": []}, "matrix"),
    ({"kind": "quadratic", "matrix": [[1.0, 2.0], [2.0]]}, "matrix"),
    ({"kind": "quadratic", "matrix": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]}, "matrix"),
    ({"kind": "quadratic", "matrix": [[3.0, 1.0], [0.0, 3.0]]}, "matrix"),
    ({"kind": "quadratic", "matrix": [[1.0, 2.0], [2.0, 1.0]]}, "matrix"),
    ({"kind": "quadratic", "matrix": [[0.0]]}, "matrix"),
    ({"kind": "quadratic", "matrix": [[float("inf")]]}, "matrix"),
    ({"kind": "finite-quadratic", "atoms": [[0.0]], "weights": [1.0]}, "eigenvalues"),
    ({**FINITE, "matrix": [[1.0]]}, "eigenvalues"),
    ({**FINITE, "eigenvalues": [-1.0]}, "eigenvalues"),
    ({**FINITE, "weights": [0.5, 0.4]}, "weights"),
    ({**FINITE, "weights": [1.0]}, "weights"),
    ({**FINITE, "weights": [1.5, -0.5]}, "weights: expected numbers > 0 that add up to 1, got -0.5"),
    ({**FINITE, "atoms": [[1.0], [1.0, 2.0]]}, "atoms.1"),
    ({**FINITE, "atoms": [[1.0], [-0.5]]}, "atoms"),
    ({**FINITE, "atoms": [[float("nan")], [1.0]]}, "atoms"),
    ({**FINITE, "atoms": []}, "atoms: expected at least one"),
    ({"kind": "toy", "dimension": 2}, "dimension"),
    ({"kind": "toy", "frequencies": []}, "frequencies"),
    ({"kind": "toy", "frequencies": [1.0, 0.0]}, "frequencies"),
    ({"kind": "toy", "frequencies": [float("inf")]}, "frequencies"),
    ({"kind": "logistic"}, "data"),
    ({"kind": "logistic", "data": "wine", "scaling": "unit"}, "scaling"),
    ({"kind": "logistic", "data": "wine", "regulariser": "l1"}, "regulariser"),
    ({"kind": "logistic", "data": "wine", "weight": 0.1}, "weight"),
    ({"kind": "logistic", "data": "wine", "regulariser": "nonconvex", "weight": 0.0}, "weight"),
    ({"kind": "nothing"}, "kind"),
]


@pytest.mark.parametrize(("table", "key"), REFUSED, ids=str)
def test_what_cannot_be_is_refused_by_its_key(table, key):
    with pytest.raises(InputError) as refused:
        PROBLEMS.make(table, "problem")
    assert str(refused.value).startswith(f"problem.{key}")


class Undecorated(Problem):
    """Of somebody's own, whose arguments nobody checks."""

    def __init__(self, *, size: float, far: bool = False, note: object = None):
        self.dimension, self._size = 1, size

    def value(self, x):
        return self._size * float(x[0] ** 2)

    def gradient(self, x, out):
        np.multiply(2 * self._size, x, out=out)


def test_a_missing_key_of_a_kind_of_ones_own_is_refused_by_name():
    with pytest.raises(InputError) as refused:
        PROBLEMS.make({"kind": "test_problems:Undecorated", "far": True}, "problem")
    assert str(refused.value) == "problem.size: missing, and it has no default"


def test_the_defaults_of_a_kind_of_ones_own_are_those_of_its_arguments():
    table = {"kind": "test_problems:Undecorated", "size": 2.0}
    assert PROBLEMS.make(table, "problem").value(np.array([3.0])) == 18.0
    assert PROBLEMS.filled(table) == {**table, "far": False}


@pytest.mark.parametrize(
    ("matrix", "name", "value", "how"),
    [
        ([[1, 0], [0, 1e-13]], "mu", 1e-13, "exact"),
        ([[1, 0], [0, 1e-300]], "mu", 1e-300, "exact"),
        ([[1e-300, 0], [0, 1e300]], "mu", 1e-300, "exact"),
        ([[2, 1, 0], [1, 0.5, 0], [0, 0, 3]], "mu_PL", 3.0, "exact"),  # rank 2, in exact numbers
        ([[1, 0, 0], [0, 1e-9, 0], [0, 0, 0]], "mu_PL", 1e-9, "lower"),  # eigenvalues are rounded: not exact
    ],
)
def test_no_eigenvalue_of_a_quadratic_is_dropped(matrix, name, value, how):
    known = constants(PROBLEMS["quadratic"](matrix=matrix))
    assert known[name] == (pytest.approx(value, rel=1e-5), how)


def test_mu_of_an_ill_conditioned_quadratic_is_that_of_exact_arithmetic():
    """Hilbert's matrix of order 8 as float64 has it, inverted with 60 digits."""
    matrix = [[1 / (i + j + 1) for j in range(8)] for i in range(8)]
    with mpmath.workdps(60):
        inverse = mpmath.inverse(mpmath.matrix(matrix))
        mu = float(1 / max(inverse[i, i] for i in range(8)))
    assert constants(PROBLEMS["quadratic"](matrix=matrix))["mu"] == (pytest.approx(mu, rel=1e-15), "exact")


@pytest.mark.parametrize("least", [-1e-13, -1e-300])
def test_a_negative_eigenvalue_is_refused_however_small(least):
    with pytest.raises(InputError, match="without a minimum"):
        PROBLEMS["quadratic"](matrix=[[1, 0], [0, least]])


@given(seed=seeds, d=st.integers(1, 9), rank=st.integers(1, 9))
def test_the_rank_of_a_gram_matrix_is_found_exactly(seed, d, rank):
    hessian = random_hessian(seed, d, rank)
    assert rank_of_semidefinite(hessian) == np.linalg.matrix_rank(hessian)
