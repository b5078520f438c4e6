"""Into how many segments data are split, and that neither threads nor ranks show in what is computed of them."""

from types import SimpleNamespace

import numpy as np
import pytest

from mpisign.comm.communicator import SerialCommunicator
from mpisign.data.csr import Csr
from mpisign.data.linear_rows import DenseRows, SparseRows
from mpisign.engine.records.evaluation import Evaluation
from mpisign.engine.records.rough_evaluation import RoughEvaluation
from mpisign.problems import Minimum, distributed_objective, logistic_sums
from mpisign.problems.certificate import Certificate
from mpisign.problems.distributed_objective import Objective
from mpisign.problems.logistic import Logistic
from mpisign.problems.logistic_sums import segments_of
from mpisign.problems.reference_solution import CertifiedOptimum, keep

ALONE = SerialCommunicator()


def sized(n, d, stored=None):
    return SimpleNamespace(samples=n, dimension=d, arrays={"rows": SimpleNamespace(size=stored or n * d)})


@pytest.mark.parametrize(
    ("n", "d", "stored", "expected"),
    [
        (1, 1, None, 16),
        (65536, 2000, None, 16),
        (65537, 2000, None, 32),
        (400_000, 2000, None, 112),
        (10**6, 50, None, 256),
        (10**9, 50, None, 256),
        (20_242, 47_236, 1_498_952, 16),
        (677_399, 47_236, 49_556_258, 64),
        (10**6, 10**7, 10**8, 16),
    ],
)
def test_their_number_goes_by_the_size_of_the_data(n, d, stored, expected):
    assert segments_of(sized(n, d, stored)) == expected


def dense(n, d, dtype=np.float32, seed=7):
    return DenseRows({"rows": np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)})


def test_up_to_65536_data_points_the_bits_are_those_of_before():
    """Recorded before there were more than 16 segments; the passes over single points are the same everywhere."""
    rows = np.random.default_rng(7).standard_normal((65536, 3), dtype=np.float32)
    problem, x = Logistic(DenseRows({"rows": rows})), np.array([0.5, -1.25, 2.0])
    value, gradient = Objective(problem, ALONE).value_and_gradient(x)
    assert value.hex() == "0x1.32c8c17becb0ep+0"
    expected = ["0x1.1faeb2372239ap-4", "-0x1.51f0652e960ffp-3", "0x1.14ca0fc81be9fp-2"]
    assert [float(each).hex() for each in gradient] == expected
    assert Certificate(problem._sums, x, value, gradient).rounding().hex() == "0x1.15f4522780b8cp-46"
    assert problem._sums.additions == 2074.0


@pytest.mark.parametrize("block", [2048, 64])
def test_rounding_is_limited_with_any_number_of_blocks(block, monkeypatch):
    """f and its gradient in long double; short blocks are those of more data than there is time for."""
    monkeypatch.setattr(logistic_sums, "BLOCK", block)
    problem, x = Logistic(dense(200_000, 2)), np.array([3.0, -2.0])
    assert problem.segments == 64
    value, gradient = Objective(problem, ALONE).value_and_gradient(x)
    c, t, n = problem.rows.arrays["rows"].astype(np.longdouble), x.astype(np.longdouble), 200_000
    margins = c @ t
    exact = np.log1p(np.exp(-np.abs(margins))).mean() + np.maximum(-margins, 0).mean() + t @ t / (2 * n)
    certificate = Certificate(problem._sums, x, value, gradient)
    assert abs(value - exact) <= certificate.rounding() < 1e-12
    slope = t / n - (1 / (1 + np.exp(margins))) @ c / n
    assert abs(gradient - slope).max() <= np.finfo(float).eps * problem._sums.additions * abs(c).mean(axis=0).max()


def everything(threads, monkeypatch, rows, points):
    """f, gradients, the curvature, Hessians and records by both arithmetics, as bytes."""
    monkeypatch.setenv("MPISIGN_THREADS", str(threads))
    problem, d = Logistic(rows), rows.dimension
    objective = Objective(problem, ALONE)
    assert (objective._vectors._threads, objective._blocks._threads) == (threads, threads)
    value, gradient = objective.value_and_gradient(points[0])
    found = [np.array(value), gradient, objective.curvature(points[1], points[0]), objective.hessian(points[2])]
    evaluations = [Evaluation(problem, ALONE, len(points))]
    if problem._sums.has_gram:
        found.append(objective.gram())
        evaluations.append(RoughEvaluation(problem, ALONE, len(points), Minimum(0.0, 0.0)))
    for evaluation in evaluations:
        evaluation.points[:] = points
        found.append(evaluation.run())
    assert all(np.isfinite(each).all() and each.shape in ((), (d,), (d, d), (len(points), 1 + d)) for each in found)
    return [each.tobytes() for each in found]


def csr(n, d):
    rng = np.random.default_rng(3)
    parts = Csr(rng.standard_normal(4 * n), rng.integers(0, d, 4 * n).astype(np.int32), np.arange(0, 4 * n + 1, 4))
    arrays = {"data": parts.values, "indices": parts.indices, "indptr": parts.indptr, "dimension": np.array([d])}
    return SparseRows(arrays)


@pytest.mark.parametrize("segments", [16, 112])
@pytest.mark.parametrize("rows", [dense(700, 21), dense(700, 21, np.float64), csr(700, 21)], ids=["32", "64", "csr"])
def test_threads_change_no_bit(rows, segments, monkeypatch):
    """The Hessian in blocks of three rows, so that threads have several of them."""
    monkeypatch.setattr(Logistic, "long", 0)
    monkeypatch.setattr(logistic_sums, "segments_of", lambda rows: segments)
    monkeypatch.setattr(distributed_objective, "_ENTRIES", 63)
    points = np.random.default_rng(1).standard_normal((5, 21)) * np.array([[3], [1], [0.3], [0.1], [0.01]])
    first, *others = (everything(threads, monkeypatch, rows, points) for threads in (1, 2, 3))
    assert all(other == first for other in others)


def test_small_data_have_no_threads(monkeypatch):
    monkeypatch.setenv("MPISIGN_THREADS", "4")
    for rows, threads in ((dense(100, 3), 1), (dense(2**16, 64), 4)):
        assert Objective(Logistic(rows), ALONE)._vectors._threads == threads


class Counted(Logistic):
    """Somebody's own way to compute a part, which may not be made for threads."""

    def part(self, points, segment, out):
        super().part(points, segment, out)


class AskingForThem(Counted):
    large_parts = True

    def part(self, points, segment, out):
        super().part(points, segment, out)


def test_parts_of_one_s_own_are_computed_one_by_one_unless_they_ask_for_threads(monkeypatch):
    monkeypatch.setattr(Logistic, "long", 0)
    found = [kind(dense(10, 3)).large_parts for kind in (Logistic, Counted, AskingForThem)]
    assert found == [True, False, True]


def test_f_star_of_more_segments_is_kept_apart(tmp_path, monkeypatch):
    """That of the same data in 16 segments has other roundings."""
    rows, found = dense(100, 3), []
    for segments in (16, 32, 48):
        monkeypatch.setattr(logistic_sums, "segments_of", lambda rows, segments=segments: segments)
        keep(Logistic(rows), CertifiedOptimum(Minimum(0.0, 0.0), {}), tmp_path)
        found.append(len(list(tmp_path.rglob("*.json"))))
    assert found == [1, 2, 3]
