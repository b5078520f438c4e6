"""Runs in float32: x, gradients and messages; records, M_k and files as ever."""

import os
import signal

import h5py
import numpy as np
import pytest

import mpisign
from alone import planned, run_alone
from digests import digests, policies
from mpisign.aggregation import bitplanes
from mpisign.algorithms.methods import METHODS
from mpisign.audit import bounds
from mpisign.audit.report import build
from mpisign.cli.main import main
from mpisign.comm.communicator import SerialCommunicator
from mpisign.comm.shared_arrays import unshared
from mpisign.config.experiment import difference, parse
from mpisign.config.validation import InputError
from mpisign.engine import runner
from mpisign.fixed_order import l1_norm, multiply, peak, sine, squares
from mpisign.problems import PROBLEMS, Problem
from mpisign.stop_signals import StopRequested
from mpisign.storage import summary
from mpisign.storage.trajectory import Trajectory

U = 2.0**-24
D = 131
RNG = np.random.default_rng(8)
PROBLEM_TABLES = {
    "separable": {"eigenvalues": RNG.uniform(0.1, 2, 9).tolist()},
    "quadratic": {"matrix": (np.eye(9) + 0.1).tolist()},
    "finite-quadratic": {"eigenvalues": [1.1] * 9, "atoms": [[0.3] * 9, [-0.3] * 9], "weights": [0.5, 0.5]},
    "toy": {"frequencies": RNG.uniform(0.5, 2, 9).tolist()},
    "logistic": {"data": "breast-cancer"},
}
ORACLES = [
    '{ kind = "full" }',
    '{ kind = "minibatch", batch = 4 }',
    '{ kind = "minibatch", batch = 4, sampling = "shard", flipped = 1 }',
    '{ kind = "minibatch", batch = 4, decoupled = true }',
    '{ kind = "additive", noise = "normal", size = 0.1 }',
    '{ kind = "additive", noise = "three-point", size = 0.1, q = 0.2, decoupled = true }',
]


def job(oracle, precision="float32", iterations=6):
    """Every method and zeros policy, with M = 1, 2 and 3 in turn."""
    lines = [f"iterations = {iterations}", 'problem = { kind = "logistic", data = "wine" }', f"oracle = {oracle}"]
    lines += ["log = { every = 2, iterates = true }"]
    kinds = [(method, zeros) for method in METHODS for zeros in policies(method)]
    for number, (method, zeros) in enumerate(kinds):
        lines += ["[[runs]]", f'label = "{method} {zeros}"', f'method = "{method}"', f"workers = {1 + number % 3}"]
        lines += [f'precision = "{precision}"', 'step = { kind = "constant", alpha = 0.01 }']
        lines += [f'zeros = "{zeros}"'] if len(policies(method)) > 1 else []
    return "\n".join(lines)


@pytest.mark.parametrize("oracle", ORACLES)
def test_every_method_runs_near_its_float64_run(oracle, tmp_path):
    """The same draws; a sign may differ where a gradient is near 0, so that the x of a few steps are compared."""
    single, double = (
        Trajectory(run_alone(tmp_path, job(oracle, each)), iterates=True) for each in ("float32", "float64")
    )
    for one, other in zip(single, double, strict=True):
        assert (one.precision, other.precision) == ("float32", "float64")
        x, y = (run.repeats[0].columns["x"] for run in (one, other))
        assert x.dtype == np.float64
        assert (x == x.astype(np.float32)).all()
        assert (x[0] == y[0].astype(np.float32)).all()
        assert np.mean(np.abs(x - y) > 1e-4 * (1 + np.abs(y).max())) < 0.1
        assert one.repeats[0].columns["scale"][:-1] == pytest.approx(other.repeats[0].columns["scale"][:-1], rel=0.02)
        assert one.repeats[0].compiled == 0


def sizes(kind, problem, x):
    """Return what float32 may be off by in each coordinate, in units of u: rounded data, products and their sums."""
    table = PROBLEM_TABLES[kind]
    if kind == "logistic":
        rows = np.abs(problem.rows.arrays["rows"])
        margins = rows @ np.abs(x)
        return ((len(rows) + 4) * rows + ((len(x) + 4) * margins / 4)[:, None] * rows).mean(axis=0) + np.abs(x)
    if kind == "toy":
        omega = np.array(table["frequencies"])
        return 4 * (2 * np.abs(x) + 3 * omega * (1 + 2 * omega * np.abs(x)))
    matrix = np.array(table.get("matrix", np.diag(table.get("eigenvalues", [0]))))
    return (len(x) + 4) * (np.abs(matrix) @ np.abs(x))


@pytest.mark.parametrize("kind", PROBLEM_TABLES)
def test_gradients_are_those_of_float64_to_their_rounding(kind):
    problem = PROBLEMS.make({"kind": kind, **PROBLEM_TABLES[kind]}, "problem", share=unshared)
    single, d = problem.in_float32, problem.dimension
    x = RNG.standard_normal(d).astype(np.float32)
    found, exact = np.empty(d, np.float32), np.empty(d)
    single.gradient(x, found)
    problem.gradient(x.astype(float), exact)
    assert (np.abs(found - exact) <= 1.01 * U * sizes(kind, problem, x.astype(float))).all()
    assert (found != exact).any()
    again = np.empty_like(found)
    single.gradient_part().function()(x, again)
    assert (again == found).all()


def test_kernels_in_float32_are_numpys():
    """Sums in float64, to (d + 2) roundings of it; each step of a coordinate is one rounding of float32, or two."""
    g, x = RNG.standard_normal((2, D)).astype(np.float32)
    planes = np.zeros((2, bitplanes.words(D)), np.uint64)
    norm, zeros = bitplanes.pack(g, planes[0])
    assert norm == pytest.approx(np.abs(g).sum(dtype=float), rel=D * 1e-16)
    assert (l1_norm(g), squares(g, 1.0)) == pytest.approx((norm, (g.astype(float) ** 2).sum()), rel=D * 1e-16)
    assert (peak(g), zeros) == (np.abs(g).max(), False)
    bitplanes.pack_nonnegative(g, planes[1])
    for subtract in (
        lambda y: bitplanes.subtract(y, 0.1, planes[0]),
        lambda y: bitplanes.subtract_nonnegative(y, 0.1, *planes),
    ):
        y = x.copy()
        subtract(y)
        assert (y == x - np.float32(0.1) * np.sign(g)).all()
    matrix, out = RNG.standard_normal((D, D)).astype(np.float32), np.empty(D, np.float32)
    multiply(matrix, x, out)
    assert (np.abs(out - matrix.astype(float) @ x) <= 3 * U * (np.abs(matrix) @ np.abs(x))).all()
    sine(x, out)
    assert (np.abs(out - np.sin(x.astype(float))) <= U).all()


GD = """
iterations = 5
problem = { kind = "separable", eigenvalues = [0.3, 1.7, 0.9] }
start = { kind = "point", x = [0.11, 0.2, -0.7] }
log = { every = 1, iterates = true }
[[runs]]
method = "METHOD"
workers = WORKERS
precision = "float32"
step = { kind = "constant", alpha = 0.1 }
"""


def columns(tmp_path, text, *overrides):
    """The columns of the first repeat of the first run."""
    return Trajectory(run_alone(tmp_path, text, *overrides), iterates=True).runs[0].repeats[0].columns


def test_the_steps_are_float32_arithmetic(tmp_path):
    """x - alpha g, x - alpha sign g and x - (alpha M) sign g, written out; M is a sum in float64."""
    f = np.float32
    h, x = np.array([0.3, 1.7, 0.9], f), np.array([0.11, 0.2, -0.7], f)
    expected = {name: [x] for name in ("gd", "sign", "scaled-sign")}
    for _ in range(5):
        for name, path in expected.items():
            g = h * path[-1]
            factor = {"gd": g, "sign": np.sign(g)}.get(name, np.sign(g))
            size = 0.1 * np.abs(g).sum(dtype=float) if name == "scaled-sign" else 0.1
            path.append(path[-1] - f(size) * factor)
    for name, path in expected.items():
        assert (columns(tmp_path, GD.replace("METHOD", name).replace("WORKERS", "1"))["x"] == np.array(path)).all()


@pytest.mark.parametrize(
    ("method", "up", "down"), [("gd", 3 * 64, 3 * 64), ("scaled-sign", 128, 128), ("ef-sign", 128, 192)]
)
def test_a_coordinate_counts_32_bits(method, up, down, tmp_path):
    """d = 3: a number of 64 bits, and two words of two coordinates or one of signs, for each of two workers."""
    found = columns(tmp_path, GD.replace("METHOD", method).replace("WORKERS", "2"))
    assert (found["bits_up"][-1], found["bits_down"][-1]) == (5 * 2 * up, 5 * 2 * down)


def test_values_are_those_of_float64_at_the_recorded_x(tmp_path):
    found = columns(tmp_path, GD.replace("METHOD", "gd").replace("WORKERS", "2"))
    h = np.array([0.3, 1.7, 0.9])
    assert found["value"] == pytest.approx((h * found["x"] ** 2).sum(axis=1) / 2, rel=1e-14)
    assert found["gradient_l1"] == pytest.approx(np.abs(h * found["x"]).sum(axis=1), rel=1e-14)


@pytest.mark.parametrize(("rule", "limit"), [("gap", 0.1), ("gradient", 0.3), ("bits", 1500.0)])
def test_a_rule_of_stop_ends_it_at_the_first_record_that_fulfils_it(rule, limit, tmp_path):
    text = GD.replace("METHOD", "scaled-sign").replace("WORKERS", "2").replace("iterations = 5", "iterations = 40")
    whole = columns(tmp_path, text)
    ended = Trajectory(run_alone(tmp_path, text, f"runs.0.stop.{rule}={limit}"), iterates=True).runs[0].repeats[0]
    sizes = {"gap": whole["value"], "gradient": whole["gradient_l1"], "bits": -whole["bits_up"] - whole["bits_down"]}
    end = int(np.argmax(sizes[rule] <= (-limit if rule == "bits" else limit)))
    assert 0 < end < 40
    assert (ended.ended, ended.columns["k"][-1], ended.status) == (rule, end, "complete")
    assert (ended.columns["x"] == whole["x"][: end + 1]).all()


def test_clocks_change_nothing(tmp_path):
    text = job(ORACLES[1])
    plain = digests(run_alone(tmp_path, text))
    path = run_alone(tmp_path, text, "log.clocks=true")
    assert {name: each for name, each in digests(path).items() if name in plain} == plain
    assert all("clock_step" in run.repeats[0].columns for run in Trajectory(path))


@pytest.mark.parametrize("ways", [(), ("--jobs", "2")])
def test_a_finished_run_goes_on_to_more_iterations(ways, tmp_path, monkeypatch, capsys):
    """Every method, to the file of one that was as long from the start; what it goes on from is x as float64."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.toml").write_text(job(ORACLES[1]))
    for output, iterations in {"long.h5": 12, "out.h5": 6}.items():
        assert main(["run", "job.toml", "-o", output, "--set", f"iterations={iterations}"]) == 0
    with h5py.File("out.h5") as file:
        assert {file[f"runs/{label}/repeats/0000/state/x"].dtype for label in file["runs"]} == {np.dtype(np.float64)}
    assert main(["run", "job.toml", "-o", "out.h5", "--resume", "--set", "iterations=12", *ways]) == 0
    assert digests("out.h5") == digests("long.h5")


def test_the_precision_is_the_jobs_and_the_files(tmp_path, capsys):
    text = job(ORACLES[1], "float64")
    one, other = parse(text, []), parse(text, ["runs.0.precision=float32"])
    assert difference(one, other) == "runs.0.precision is float64, not float32"
    with pytest.raises(InputError, match=r"runs\.0\.precision: expected 'float64' or 'float32'"):
        parse(text, ["runs.0.precision=half"])
    path = run_alone(tmp_path, text, "runs.0.precision=float32")
    with h5py.File(path) as file:
        assert {run.attrs["precision"] for run in file["runs"].values()} == {"float64", "float32"}
    assert sum("gd, float32" in line for line in summary.text(Trajectory(path)).splitlines()) == 1
    run = mpisign.Run(method=mpisign.GD(), step=mpisign.Constant(alpha=0.1), precision="float32")
    assert run.table("runs.0")["precision"] == "float32"


class Plain(Problem):
    """f(x) = ||x||^2"""

    dimension, minimum_value = 3, 0.0

    def value(self, x):
        return float(x @ x)

    def gradient(self, x, out):
        out[:] = 2 * x


class Own(type(PROBLEMS.make({"kind": "separable", "eigenvalues": [1.0]}, "problem"))):
    """A built-in problem with a gradient of its own."""

    def gradient(self, x, out):
        out[:] = 2 * x


CANNOT = [
    '"test_float32:Plain"',
    '"test_float32:Own", eigenvalues = [1.0, 1.0, 1.0]',
    '"separable", eigenvalues = [1e39, 1.0, 1.0]',
]


@pytest.mark.parametrize("kind", CANNOT)
def test_a_problem_that_cannot_is_refused(kind):
    text = GD.replace("METHOD", "gd").replace("WORKERS", "1")
    text = text.replace('"separable", eigenvalues = [0.3, 1.7, 0.9]', kind)
    with pytest.raises(InputError, match=r'^runs\.0\.precision: expected "float64": '):
        planned(text)
    planned(text, "runs.0.precision=float64")


def test_verdicts_are_on_float64_alone(tmp_path, capsys):
    text = GD.replace("METHOD", "scaled-sign").replace("WORKERS", "1")
    path = run_alone(tmp_path, text)
    with pytest.raises(InputError, match="'scaled-sign': in float32, where no bound is checked"):
        bounds.check(Trajectory(path))
    double = text[text.index("[[runs]]") :].replace("float32", "float64").replace("method", 'label = "double"\nmethod')
    path = run_alone(tmp_path, text + double)
    assert main(["check", str(path)]) == 0
    said = capsys.readouterr().out
    assert "double" in said
    assert "'scaled-sign': in float32, where no bound is checked" in said
    _, lines = build._without_float32(build.read(tmp_path))
    assert lines == [f"{path}: has a run in float32; no claim is judged on it"]
    (tmp_path / "job.toml").write_text(text)
    assert main(["certify", str(tmp_path / "job.toml")]) == 2
    assert 'runs.0.precision: expected "float64"' in capsys.readouterr().err


@pytest.mark.parametrize("method", ["signum", "ef-sign-shifted", "adagrad-norm"])
def test_a_run_goes_on_from_a_state_to_the_same_file(method, tmp_path):
    """x and what is remembered are kept in float64: nothing is lost."""
    text = GD.replace("METHOD", method).replace("WORKERS", "3").replace("iterations = 5", "iterations = 9")
    whole = digests(run_alone(tmp_path, text))
    (tmp_path / "job.toml").write_text(text)
    plan, ranks, output = planned(text), SerialCommunicator(), tmp_path / "cut.h5"
    step, seen = plan.runs[0].step, []

    def stopping(k):
        """Ask for a stop once, at k = 4."""
        if k == 4 and not seen:
            seen.append(k)
            os.kill(os.getpid(), signal.SIGUSR1)
        return step(k)

    stopped = plan._replace(runs=[plan.runs[0]._replace(step=stopping)])
    with pytest.raises(StopRequested):
        runner.run(stopped, ranks, output, range(1))
    assert Trajectory(output).runs[0].repeats[0].status == "running"
    runner.run(plan, ranks, output, range(1), "resume")
    assert digests(output) == whole
