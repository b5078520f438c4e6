"""Values by float32 products: their limits hold, and a record has one or the other of two evaluations by its own."""

from fractions import Fraction

import numpy as np
import pytest

from alone import run_alone
from mpisign.cli.main import main
from mpisign.comm.communicator import SerialCommunicator
from mpisign.data.linear_rows import DenseRows
from mpisign.engine.records.evaluation import Evaluation
from mpisign.engine.records.rough_evaluation import ERRORS, RoughEvaluation, evaluation_of
from mpisign.problems import Minimum
from mpisign.problems.logistic import Logistic
from mpisign.problems.regularisers import Nonconvex
from mpisign.storage import summary
from mpisign.storage.trajectory import Trajectory

N, D, R = 1300, 150, 7
JOB = """
    iterations = 2000
    problem = {{ kind = "logistic", data = "{data}" }}
    log = {{ points = 20 }}
    [[runs]]
    method = "gd"
    step = {{ kind = "constant", alpha = 0.5 }}
    """


@pytest.fixture
def few(monkeypatch):
    """Let small data be evaluated by float32 products."""
    monkeypatch.setattr(Logistic, "large", 0)


def problem(regulariser=None):
    """Return logistic regression on rows whose products with x >= 0 are all positive: their errors add up."""
    rows = np.random.default_rng(3).uniform(0.1, 1.0, (N, D)).astype(np.float32)
    return Logistic(DenseRows({"rows": rows}), regulariser)


def points():
    """Return x of several sizes, none of them float32 numbers."""
    return np.random.default_rng(4).uniform(0, 1, (R, D)) * np.array([0, 1e-3, 0.01, 0.03, 0.1, 1, 30])[:, None]


def total(part, columns):
    """Return the sum over the segments."""
    out = np.zeros((16, R, columns))
    for segment in range(16):
        part(points(), segment, out[segment])
    return out.sum(axis=0)


@pytest.mark.parametrize("regulariser", [None, Nonconvex(0.1)])
def test_the_limits_hold_and_are_of_use(regulariser):
    one = problem(regulariser)
    exact, rough = total(one.part, 1 + D), total(one.rough_part, 3 + D)
    off = np.abs(rough[:, 0] - exact[:, 0]), np.abs(rough[:, 1:-2] - exact[:, 1:]).sum(axis=1)
    own = 1e-14 * (1 + exact[:, 0]), 1e-14 * (1 + np.abs(exact[:, 1:]).sum(axis=1))  # of the float64 values
    assert (off[0] <= rough[:, -2] + own[0]).all()
    assert (off[1] <= rough[:, -1] + own[1]).all()
    assert (off[0][2:5] > 0).all()
    assert (rough[1:5, -2] < 1e-3 * exact[1:5, 0]).all()
    assert (rough[:, -2] > 0).all()


def test_the_value_is_the_exact_one_to_its_limit():
    """At one point of one row, in fractions: c'x is a rational number, and the loss of a margin has a slope below 1."""
    rows = np.random.default_rng(5).uniform(0.1, 1.0, (1, D)).astype(np.float32)
    one, x = Logistic(DenseRows({"rows": rows})), points()[3] / 10
    margin = sum(Fraction(float(c)) * Fraction(float(t)) for c, t in zip(rows[0], x, strict=True))
    out = np.zeros((16, 1, 3 + D))
    for segment in range(16):
        one.rough_part(x[None], segment, out[segment])
    found = out.sum(axis=0)[0]
    exact = np.log1p(np.exp(-float(margin))) + float(sum(Fraction(float(t)) ** 2 for t in x) / 2)
    assert 0 < abs(found[0] - exact) <= found[-2] + 1e-15
    assert found[-2] < 1e-5


def test_each_record_has_its_evaluation_by_its_own_errors(few):
    one, ranks = problem(), SerialCommunicator()
    exact = Evaluation(one, ranks, R)
    exact.points[:] = points()
    values = exact.run().copy()
    least = int(values[:, 0].argmin())
    f_star = float(values[least, 0]) - 1e-6  # a gap that float32 cannot tell
    both = evaluation_of(one, ranks, R, Minimum(f_star, 0.0))
    assert isinstance(both, RoughEvaluation)
    both.points[:] = points()
    found = both.run()
    same = (found == values).all(axis=1)
    rough = total(one.rough_part, 3 + D)
    assert same.tolist() == (~both._certain(rough)).tolist()
    assert same[least]
    assert not same.all()
    gaps = values[:, 0] - f_star
    assert (np.abs(found[:, 0] - values[:, 0])[~same] <= ERRORS["value_error"] * gaps[~same]).all()


def test_it_is_for_large_float32_data_and_a_known_minimum(few, monkeypatch):
    one = problem()
    assert type(evaluation_of(one, SerialCommunicator(), R, None)) is Evaluation
    monkeypatch.setattr(Logistic, "large", N * D + 1)
    assert not one.has_rough_part
    assert not Logistic(DenseRows({"rows": np.eye(3)})).has_rough_part


def test_a_point_beyond_float32_is_evaluated_in_float64(few):
    one = problem()
    found = evaluation_of(one, SerialCommunicator(), 2, Minimum(0.0, 0.0))
    found.points[:] = np.array([[1e39], [np.nan]]) * np.ones(D)
    with np.errstate(over="ignore", invalid="ignore"):
        values = found.run()
    assert values[0, 0] == pytest.approx(1e78 * D / (2 * N), rel=1e-12)
    assert np.isnan(values[1, 0])


def test_a_file_says_how_certain_its_values_are(few, tmp_path, monkeypatch):
    assert main(["data", "synth", "--like", "epsilon", str(tmp_path / "rows.h5"), "--n", "400", "--d", "20"]) == 0
    job = JOB.format(data=tmp_path / "rows.h5")
    rough = Trajectory(run_alone(tmp_path, job)).runs[0]
    assert {name: rough.attributes[name] for name in ERRORS} == ERRORS
    assert "values +- 1% of f - f*" in summary.text(Trajectory(tmp_path / "out.h5"))
    found = rough.repeats[0].columns
    monkeypatch.setattr(Logistic, "large", 10**9)
    exact = Trajectory(run_alone(tmp_path, job)).runs[0]
    assert not ERRORS.keys() & exact.attributes.keys()
    values = exact.repeats[0].columns["value"]
    same = found["value"] == values
    assert 0 < same.sum() < len(same)  # gd comes near f*, where float64 is needed
    assert (np.abs(found["value"] - values) <= ERRORS["value_error"] * (values - rough.attributes["f_star"])).all()


def test_a_rule_of_stop_looks_at_such_values_one_by_one(few, tmp_path):
    """A block has one record then; each value is within its limit, and the first gap at most the rule's is the last."""
    assert main(["data", "synth", "--like", "epsilon", str(tmp_path / "rows.h5"), "--n", "400", "--d", "20"]) == 0
    job = JOB.format(data=tmp_path / "rows.h5")
    (run,) = Trajectory(run_alone(tmp_path, job)).runs
    gaps = run.gap(run.repeats[0])
    end = len(gaps) // 2
    limit = float(np.sqrt(gaps[end - 1] * gaps[end]))
    assert gaps[end] < limit < gaps[:end].min()
    (found,) = Trajectory(run_alone(tmp_path, job, f"runs.0.stop.gap={limit}")).runs
    (repeat,) = found.repeats
    assert (repeat.ended, len(repeat.columns["k"])) == ("gap", end + 1)
    off = np.abs(found.gap(repeat) - gaps[: end + 1])
    assert (off <= 2 * ERRORS["value_error"] * gaps[: end + 1]).all()
