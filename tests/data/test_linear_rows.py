"""Rows of data, dense or sparse, float32 or float64: the same results to rounding, and f* from any of them."""

import json

import mpmath
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from mpisign.comm.communicator import SerialCommunicator
from mpisign.comm.shared_arrays import unshared
from mpisign.data.linear_rows import DenseRows, SparseRows, _weights_of_dense, signed, stored
from mpisign.data.loading import load, opened
from mpisign.problems import reference_solution as optimum_module
from mpisign.problems.distributed_objective import Objective
from mpisign.problems.logistic import Logistic
from mpisign.problems.reference_solution import optimum
from mpisign.problems.solving.newton import newton


def sparse(rows, dtype):
    """The same rows as CSR."""
    csr = scipy.sparse.csr_array(rows.astype(dtype))
    arrays = {"data": csr.data, "indices": csr.indices.astype(np.int32), "indptr": csr.indptr.astype(np.int64)}
    return SparseRows(arrays | {"dimension": np.array([rows.shape[1]])})


def forms(rows):
    """The rows in all four forms; float32 can hold them exactly."""
    for dtype in (np.float64, np.float32):
        yield DenseRows({"rows": rows.astype(dtype)})
        yield sparse(rows, dtype)


def some_rows(seed, n, d):
    """About half zeros; multiples of 1/8, which every dtype holds."""
    rng = np.random.default_rng(seed)
    return rng.integers(-16, 17, (n, d)) / 8 * rng.integers(0, 2, (n, d))


@given(
    seed=st.integers(0, 2**32 - 1), n=st.integers(1, 20), d=st.sampled_from([1, 2, 15, 16, 17, 63, 64, 65, 130, 200])
)
def test_every_form_gives_the_same_to_rounding(seed, n, d):
    """Tolerance: 1e-12 relative to the sizes that are added, for float32 as for float64, as sums are float64."""
    rows, rng = some_rows(seed, n, d), np.random.default_rng(seed)
    points, samples = rng.standard_normal((3, d)), rng.integers(0, n, 7)
    margins = rows @ points.T
    pulls = 1 / (1 + np.exp(margins[samples, 0]))
    weights = rng.standard_normal((n, 2))
    for form in forms(rows):
        assert (form.samples, form.dimension) == (n, d)
        half = n // 2
        block = form.block(half, n)
        assert block.dtype == np.float64
        assert block @ points.T == pytest.approx(margins[half:], rel=1e-12, abs=1e-12)
        assert pytest.approx(weights[half:].T @ rows[half:], abs=1e-11) == (block.T @ weights[half:]).T
        assert abs(block) @ np.ones(d) == pytest.approx(np.abs(rows[half:]).sum(axis=1))
        out = np.ones(d)
        form.add_loss_gradient(points[0], samples, out)
        assert out == pytest.approx(1 - pulls @ rows[samples] / 7, rel=1e-12, abs=1e-12)


def test_a_file_of_four_lines_against_thirty_digits(tmp_path):
    """Value and gradient at a point, and f*, of four lines of LIBSVM text, worked in mpmath."""
    text = tmp_path / "four.txt"
    text.write_text("+1 1:0.5 3:-1\n-1 2:2\n+1 1:1 2:-0.25 3:0.125\n-1 1:-1.5 3:3\n")
    features, signs = load(str(text))
    assert features.tolist() == [[0.5, 0, -1], [0, 2, 0], [1, -0.25, 0.125], [-1.5, 0, 3]]
    problem = Logistic(stored(unshared(lambda: opened(str(text)))))
    with mpmath.workdps(30):
        c = mpmath.matrix((features * signs[:, None]).tolist())

        def gradient(*x):
            pulls = [1 / (1 + mpmath.exp(sum(c[i, j] * x[j] for j in range(3)))) for i in range(4)]
            return [x[j] / 4 - sum(pulls[i] * c[i, j] for i in range(4)) / 4 for j in range(3)]

        def value(*x):
            losses = [mpmath.log1p(mpmath.exp(-sum(c[i, j] * x[j] for j in range(3)))) for i in range(4)]
            return sum(losses) / 4 + sum(t * t for t in x) / 8

        x = np.array([0.3, -1.25, 2.0])
        out = np.zeros(3)
        problem.gradient(x, out)
        assert problem.value(x) == pytest.approx(float(value(*x)), rel=1e-15)
        assert out == pytest.approx(np.array([float(g) for g in gradient(*x)]), rel=1e-14)
        best = value(*mpmath.findroot(gradient, (0.1, 0.1, 0.1)))
        minimum = problem.minimum(Objective(problem, SerialCommunicator()))
        assert abs(mpmath.mpf(minimum.value) - best) <= minimum.error < 1e-13


@pytest.mark.parametrize("d", [5, 600])
def test_newton_by_the_whole_hessian_and_by_conjugate_gradients(d):
    """d = 600 is beyond where the whole Hessian is used; all forms of the data give one f* within the error."""
    problems = [Logistic(form) for form in forms(some_rows(3, 60, d))]
    minima = [problem.minimum(Objective(problem, SerialCommunicator())) for problem in problems]
    assert all(minimum.error < 1e-10 for minimum in minima)
    assert max(m.value for m in minima) - min(m.value for m in minima) <= 2 * max(m.error for m in minima)
    x, _, gradient = newton(Objective(problems[0], SerialCommunicator()))
    assert x.shape == (d,)
    assert np.linalg.norm(gradient) < 1e-12


def test_curvature_is_the_derivative_of_the_gradient():
    problem = Logistic(signed(some_rows(1, 40, 6), np.resize([1.0, -1.0], 40)))
    objective, x, h = Objective(problem, SerialCommunicator()), np.linspace(-1, 1, 6), 1e-5
    differences = [
        (objective.value_and_gradient(x + h * e)[1] - objective.value_and_gradient(x - h * e)[1]) / (2 * h)
        for e in np.eye(6)
    ]
    assert objective.hessian(x) == pytest.approx(np.array(differences), abs=1e-9)
    direction = np.arange(6.0)
    assert objective.curvature(x, direction) == pytest.approx(direction @ np.array(differences), abs=1e-8)


def test_f_star_is_kept_by_the_hash_of_the_data(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    rows = some_rows(2, 30, 4)
    problem, other = (Logistic(DenseRows({"rows": array})) for array in (rows, rows + 1))
    solved = optimum(problem, SerialCommunicator())
    (kept,) = tmp_path.rglob("*.json")
    written = json.loads(kept.read_text())
    assert len(written.pop("sha256")) == 64
    assert {name: tuple(pair) for name, pair in written.pop("constants").items()} == solved.constants
    assert written == solved.minimum._asdict()
    monkeypatch.setattr(Logistic, "minimum", None)  # may not be called again
    assert optimum(problem, SerialCommunicator()) == solved
    with pytest.raises(TypeError):
        optimum(other, SerialCommunicator())
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for damaged in (
        "{ torn",
        "[" * 10000,
        kept.read_text().replace("error", "errof"),
        kept.read_text().replace("1", "2"),
    ):
        kept.write_text(damaged)
        assert optimum(problem, SerialCommunicator()) == solved


def test_where_nothing_can_be_kept_f_star_is_solved(tmp_path, monkeypatch):
    monkeypatch.setattr(optimum_module, "_folder", lambda: tmp_path / "file" / "below")
    (tmp_path / "file").touch()
    problem = Logistic(DenseRows({"rows": some_rows(2, 30, 4)}))
    assert optimum(problem, SerialCommunicator()).minimum == problem.minimum(Objective(problem, SerialCommunicator()))


@pytest.mark.parametrize(
    ("dtype", "real"), [(np.float64, np.float64), (np.float32, np.float64), (np.float32, np.float32)]
)
@pytest.mark.parametrize("d", [1, 31, 32, 33, 100])
def test_rows_are_subtracted_one_after_the_other(d, dtype, real):
    """However many are taken at a time: numpy's own subtractions of one row after the other give the same bits."""
    rng = np.random.default_rng(d)
    rows, x = rng.standard_normal((12, d)).astype(dtype), rng.standard_normal(d).astype(real)
    for batch in range(1, 10):
        samples, weights = rng.integers(0, 12, batch), np.empty(batch, real)
        _weights_of_dense(rows, x, samples, weights)
        margins = rows[samples].astype(float) @ x.astype(float)
        tolerance = 1e-13 if real is np.float64 else 1e-5
        np.testing.assert_allclose(weights, 1 / (1 + np.exp(margins)) / batch, rtol=tolerance)
        out = rng.standard_normal(d).astype(real)
        expected = out.copy()
        DenseRows({"rows": rows}).add_loss_gradient(x, samples, out)
        for sample, weight in zip(samples, weights, strict=True):
            expected -= weight * rows[sample]
        assert out.tobytes() == expected.tobytes()
