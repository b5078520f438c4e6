"""f* and the constants on badly scaled, nearly dependent or too large data, and that they are of that data alone."""

import mpmath
import numpy as np
import pytest
import scipy.linalg

from launch import mpisign
from mpisign.comm.communicator import SerialCommunicator
from mpisign.data.linear_rows import signed
from mpisign.problems import PROBLEMS
from mpisign.problems.distributed_objective import Objective
from mpisign.problems.logistic import Logistic
from mpisign.problems.reference_solution import optimum
from mpisign.problems.regularisers import Nonconvex

TALL = "+1 1:1\n+1 1:2\n-1 1:3\n-1 1:4\n"
WIDE = "+1 1:1 2:2\n-1 1:3 2:4\n"


def powers(degree, n):
    """Columns x^0, ..., x^degree, as issue reports have them."""
    features = np.vander(np.linspace(0, 10, n), degree + 1, increasing=True)
    return features, np.where(np.random.default_rng(0).random(n) < 0.5, -1.0, 1.0)


def nearly_equal():
    rng = np.random.default_rng(1)
    column = 1e6 * rng.standard_normal(40)
    features = np.stack([column, column * (1 + 1e-6 * rng.standard_normal(40))], axis=1)
    return features, np.where(rng.random(40) < 0.5, -1.0, 1.0)


def minimum(features, labels):
    problem = Logistic(signed(np.asarray(features), np.asarray(labels)))
    return problem.minimum(Objective(problem, SerialCommunicator()))


def many_digits(features, labels):
    """f* by Newton's method with 40 digits."""
    with mpmath.workdps(40):
        rows = [[mpmath.mpf(float(v)) * int(label) for v in row] for row, label in zip(features, labels, strict=True)]
        n, d = len(rows), len(rows[0])
        columns = list(zip(*rows, strict=True))
        products = [[[v * w for v, w in zip(a, b, strict=True)] for b in columns] for a in columns]
        value, x = mpmath.log(2), mpmath.zeros(d, 1)
        for _ in range(200):
            pulls = [1 / (1 + mpmath.exp(mpmath.fdot(row, x))) for row in rows]
            gradient = mpmath.matrix([x[j] / n - mpmath.fdot(pulls, columns[j]) / n for j in range(d)])
            curvatures, hessian = [p * (1 - p) for p in pulls], mpmath.zeros(d)
            for i in range(d):
                for j in range(i + 1):
                    hessian[i, j] = hessian[j, i] = (mpmath.fdot(curvatures, products[i][j]) + (i == j)) / n
            direction = mpmath.lu_solve(hessian, gradient)
            decrement, length = mpmath.fdot(gradient, direction), mpmath.mpf(1)
            while (found := loss(rows, x - length * direction)) > value - length * decrement / 10 and length > 1e-9:
                length /= 2
            if length <= 1e-9:
                break
            x, value = x - length * direction, found
        return float(value)


def loss(rows, x):
    n = len(rows)
    return sum(mpmath.log1p(mpmath.exp(-mpmath.fdot(row, x))) for row in rows) / n + mpmath.fdot(x, x) / (2 * n)


CASES = {
    "powers to 6": (*powers(6, 30), 1e-9),
    "powers to 7": (*powers(7, 30)[:1], powers(7, 30)[1], 1e-9),
    "nearly equal columns of 1e6": (*nearly_equal(), 1e-5),
    "Hilbert rows times 1e8": (scipy.linalg.hilbert(6) * 1e8, np.resize([1.0, -1.0], 6), 1e-6),
    "equal columns of 1e8": (np.array([[1e8, 1e8], [2e8, 2e8], [3e8, 3e8]]), np.array([1.0, -1.0, 1.0]), 1e-5),
    "one row apart": (np.array([[1e8, 1e8], [2e8, 2e8], [3e8, 2e8]]), np.array([1.0, -1.0, 1.0]), 1e-5),
    "a price and 1.19 times it": (
        np.outer(np.random.default_rng(2).random(12) * 1e8, [1, 1.19]),
        np.resize([1.0, -1.0, -1.0], 12),
        1e-5,
    ),
    "features of 1e120": (np.array([[1e120], [-2e120], [3e120]]), np.array([1.0, 1.0, -1.0]), 1.0),
}


@pytest.mark.parametrize("case", list(CASES))
def test_f_star_of_badly_scaled_data(case):
    features, labels, certain = CASES[case]
    found, true = minimum(features, labels), many_digits(features, labels)
    assert abs(found.value - true) <= found.error <= min(certain, found.value)
    assert found.value == pytest.approx(true, abs=1e-9)


@pytest.mark.parametrize(("columns", "size"), [(10, 1e9), (10, 1e12), (12, 1e10)])
def test_newton_reaches_the_minimiser_where_the_sums_of_the_hessian_lose_its_least_eigenvalues(columns, size):
    """There the certificate is f itself; a solver that lifts those eigenvalues ends 0.01 to 0.09 above f*."""
    features, labels = scipy.linalg.hilbert(columns) * size, np.resize([1.0, -1.0], columns)
    found = minimum(features, labels)
    assert found.error <= found.value
    assert found.value == pytest.approx(many_digits(features, labels), abs=1e-6)


def test_the_nonconvex_regulariser_is_minimised_in_scaled_coordinates():
    features, labels = powers(6, 30)
    problem = Logistic(signed(features, labels), Nonconvex(0.1))
    found = problem.minimum(Objective(problem, SerialCommunicator()))
    assert found.value < 0.55618
    assert found.error == found.value


def test_f_star_of_powers_is_the_published_one():
    assert minimum(*powers(6, 30)).value == pytest.approx(0.54847836668657078, abs=1e-12)


def of_file(path, text):
    path.write_text(text)
    known = optimum(PROBLEMS.make({"kind": "logistic", "data": str(path)}, "problem"), SerialCommunicator())
    return known.minimum.value, known.constants["L"].value, known.constants["mu"].value


def test_f_star_and_the_constants_are_those_of_this_data_set(tmp_path):
    """Both files have the same signed numbers in the same order, in rows of another length."""
    tall = of_file(tmp_path / "tall.svm", TALL)
    wide = of_file(tmp_path / "wide.svm", WIDE)
    assert wide == pytest.approx((0.62022940, 8.25, 0.5), rel=1e-7)
    assert tall == pytest.approx((many_digits([[1.0], [2], [3], [4]], [1, 1, -1, -1]), 2.125, 0.25), rel=1e-12)


def test_a_data_file_that_was_replaced_is_other_data(tmp_path):
    data, job = tmp_path / "data.svm", tmp_path / "job.toml"
    job.write_text(
        f'iterations = 20\nproblem = {{ kind = "logistic", data = "{data}" }}\n'
        '[[runs]]\nmethod = "gd"\nstep = { kind = "constant", alpha = 0.1 }\n'
    )
    data.write_text(TALL)
    assert mpisign("run", job, "-o", tmp_path / "r.h5").returncode == 0
    data.write_text(WIDE)
    done = mpisign("run", job, "-o", tmp_path / "r.h5", "--resume")
    assert done.returncode == 2
    assert "data" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_features_whose_squares_overflow_are_refused_by_name(tmp_path):
    (tmp_path / "large.svm").write_text("+1 1:1e300\n-1 1:-2e300\n")
    job = tmp_path / "job.toml"
    job.write_text(
        'iterations = 20\nproblem = { kind = "logistic", data = "large.svm" }\n'
        '[[runs]]\nmethod = "gd"\nstep = { kind = "constant", alpha = 0.1 }\n'
    )
    done = mpisign("run", job, "-o", "r.h5", cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "problem.data" in done.stderr
    assert "2e+300" in done.stderr
