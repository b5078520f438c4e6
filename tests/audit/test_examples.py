"""Examples 1 to 4 and Appendix A: each job runs, each script draws and prints its findings, and these are right.

What the scripts say is computed again here, with mpmath where digits matter.
"""

import re

import mpmath
import numpy as np
import pytest

from launch import ROOT
from mpisign.comm.communicator import SerialCommunicator
from mpisign.config import experiment
from mpisign.engine import planning, runner
from mpisign.storage.trajectory import Trajectory
from mpisign.theory import recursions

JOBS = ("example1", "example2", "example3", "figure1")
FIGURES = {
    "example1": "example1-orbits",
    "example2": "example2-rates",
    "example3": "example3-formula",
    "figure1": "figure1-gaps",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Each job's trajectory file, run as it stands."""
    folder = tmp_path_factory.mktemp("examples")
    for name in JOBS:
        job = experiment.read(ROOT / "jobs" / f"{name}.toml")
        runner.run(
            planning.plan(job, SerialCommunicator()), SerialCommunicator(), folder / f"{name}.h5", range(job.repeats)
        )
    return folder


@pytest.fixture
def findings(files, script, tmp_path):
    """What the script of a job prints, after a look at its figure."""

    def read(name):
        status, out, err = script(name, files / f"{name}.h5", "-o", tmp_path)
        assert (status, err) == (0, "")
        stem = tmp_path / FIGURES[name]
        assert stem.with_suffix(".png").stat().st_size > 20_000
        assert stem.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
        return out

    return read


def numbers(pattern, text):
    """The groups of the only place where the pattern is found, as numbers."""
    (found,) = re.findall(pattern, text)
    return [float(group) for group in ([found] if isinstance(found, str) else found)]


def orbits(files, name, label=None):
    """x of every repeat of a run, the first unless it is named: arrays of shape (K + 1, d)."""
    runs = {run.label: run for run in Trajectory(files / f"{name}.h5", iterates=True)}
    run = runs[label] if label else next(iter(runs.values()))
    return [repeat.columns["x"] for repeat in run.repeats]


def test_every_curve_of_example_2_has_its_own_k(files, monkeypatch):
    """x_1 at k = 1, that of AdaGrad-Norm too."""
    monkeypatch.syspath_prepend(ROOT / "analysis")
    from mpisign.audit.figures.figure import chosen
    from mpisign.audit.figures.paper import example2

    trajectory = Trajectory(files / "example2.h5", iterates=True)
    run, linear = (chosen(trajectory, method) for method in ("sign-adagrad-norm", "adagrad-norm"))
    axes = example2.plt.figure().add_subplot()
    example2.draw_iterates(axes, np.ones(4), run, linear)
    x = abs(linear.repeats[0].columns["x"][:, 0])
    (curve,) = (line for line in axes.lines if line.get_label() == "AdaGrad-Norm (5)")
    assert curve.get_xdata().tolist() == list(range(1, len(x)))
    assert curve.get_ydata().tolist() == x[1:].tolist()


# Example 1


def test_example1(files, findings):
    """x_2l = x_0 = +(alpha/2, alpha/2); (4) prints the minus. The lattice converges, in 3 steps."""
    out = findings("example1")
    paper, lattice, generic = orbits(files, "example1")
    assert (paper == 0.125 * (-1.0) ** np.arange(25)[:, None]).all()
    value = Trajectory(files / "example1.h5").runs[0].repeats[0].columns["value"]
    assert (value == 2 * 0.125**2).all()  # f = x_1^2 + x_2^2
    assert lattice[:4].tolist() == [[0.75, -0.5], [0.5, -0.25], [0.25, 0.0], [0.0, 0.0]]
    assert not lattice[3:].any()
    assert (generic[4:] == generic[2:-2]).all()
    assert (generic[3:] != generic[2:-1]).all()
    assert "-x_0: True" in out
    assert "from [ 3. -2.] alpha reaches the minimum exactly, at k = 3" in out
    assert "cycle of two points, max |x_i| = 0.8 alpha" in out


# Examples 2 and 3, with 100 digits


def by_mpmath(x0, eta, iterations, squares):
    """x_0, ..., x_K of x <- x - eta / b sign(x), b^2 = sum of squares(x), as mpmath numbers."""
    x, b2, path = mpmath.mpf(x0), mpmath.mpf(0), []
    for _ in range(iterations):
        path.append(x)
        b2 += squares(x)
        x -= eta * mpmath.sign(x) / mpmath.sqrt(b2)
    return [*path, x]


@pytest.fixture(scope="module")
def exact():
    """The first 4000 steps of Example 2 (x_0 = 1, eta = 1/2) and of Example 3 (eta = 1)."""
    with mpmath.workdps(100):
        half = mpmath.mpf(1) / 2
        return {
            "example2": by_mpmath(1, half, 4000, lambda x: x * x),
            "example3": by_mpmath(half, 1, 4000, lambda x: mpmath.sign(x) ** 2),
        }


OURS = {
    "example2": lambda: recursions.sign_adagrad_norm(1.0, 0.5, 4000)[0],
    "example3": lambda: recursions.subgradient_of_modulus(0.5, 1.0, 4000),
}
SIGNS_DIFFER = {"example2": 1942, "example3": 2522}
AT_ZERO = {"example2": 3094, "example3": 3610}


@pytest.mark.parametrize("name", OURS)
def test_many_digits_agree_with_mpmath_and_are_never_zero(name, exact):
    assert OURS[name]().tolist() == [float(x) for x in exact[name]]
    assert all(exact[name])
    assert min(map(abs, exact[name])) < 1e-17


@pytest.mark.parametrize("name", OURS)
def test_where_float64_leaves(name, files, exact, findings):
    """float64 lands on exactly 0 and stays (docs/audit/corrections.md), after its signs have left the true ones."""
    x = orbits(files, name)[0][:, 0]
    true = np.array([float(value) for value in exact[name]])
    differ, zero = SIGNS_DIFFER[name], AT_ZERO[name]
    assert np.flatnonzero(x == 0).tolist() == list(range(zero, 4001))
    assert np.flatnonzero(np.sign(x) != np.sign(true))[0] == differ
    assert np.abs(x - true)[:1001].max() < 1e-14
    assert numbers(r"float64: signs differ .* k = (\d+), x_k = 0 from k = (\d+)", findings(name)) == [differ, zero]


def test_example2_is_not_linear(files, findings, exact):
    """b_k^2 ~ eta sqrt(k), the dyadic maximum of f ~ eta / (2 sqrt(k)), the mean ~ eta / (4 sqrt(k))."""
    out = findings("example2")
    x = np.array([float(value) for value in exact["example2"]])
    sums = np.concatenate([[0.0], np.cumsum(x**2)])
    assert sums[4000] / (0.5 * 4000**0.5) == pytest.approx(1, abs=1e-3)
    assert numbers(r"b_k\^2 / \(eta sqrt\(k\)\) = ([\d.]+)", out)[0] == pytest.approx(1, abs=2e-4)
    f = x**2 / 2
    for start in (512, 1024, 2000):
        block, k = f[start : 2 * start], np.arange(start, 2 * start)
        assert block.max() / (0.5 / (2 * start**0.5)) == pytest.approx(1, abs=0.01)
        assert block.mean() / (0.5 / (4 * k**0.5)).mean() == pytest.approx(1, abs=0.01)
    slopes = numbers(r"largest ([-+.\d]+), mean ([-+.\d]+)", out)
    assert slopes == pytest.approx([-0.5, -0.5], abs=2e-3)
    larger = np.maximum(np.abs(x[:-1]), np.abs(x[1:]))
    assert (larger >= 0.5 / (2 * np.sqrt(sums[1:-1]))).all()
    assert "as proved: True" in out
    linear = orbits(files, "example2", "AdaGrad-Norm (5)")[0][:, 0]
    ratios = linear[21:300] / linear[20:299]
    assert np.ptp(ratios) < 1e-3
    assert numbers(r"falls by the factor ([\d.]+)", out)[0] == pytest.approx(ratios[-1], abs=1e-5)


def test_example2_from_sqrt_eta_ends_in_one_step(files, findings):
    """(7) needs x_k != 0: x_0 = sqrt(eta) gives b_1 = x_0 and x_1 = x_0 - eta / x_0 = 0."""
    starts = orbits(files, "example2", "sign AdaGrad-Norm (6), eta = 0.25")
    assert starts[1][:, 0].tolist() == [0.5] + [0.0] * 4000
    assert re.findall(r"x_0 = (.*): x_1 = 0 and stays", findings("example2")) == ["0.5, eta = 0.25"]


def test_formula_10_is_false_from_25_on(files, findings, exact):
    out = findings("example3")
    with mpmath.workdps(50):
        half = mpmath.mpf(1) / 2
        printed = [half + mpmath.fsum((-1) ** l / mpmath.sqrt(l) for l in range(1, k + 1)) for k in range(61)]  # noqa: E741
        limit = half - mpmath.altzeta(half)
    differ = [k for k in range(61) if abs(printed[k] - exact["example3"][k]) > 1e-40]
    assert differ == list(range(25, 61))
    assert recursions.printed_formula(1.0, 60) == pytest.approx([float(value) for value in printed], abs=1e-15)
    assert numbers(r"differ from k = (\d+)\n", out.partition("limit")[0]) == [25]
    assert float(limit) == pytest.approx(-0.10489864342163037, abs=1e-16)
    assert recursions.limit_of_printed_formula(2.0) == pytest.approx(2 * float(limit), rel=1e-14)
    assert numbers(r"limit of \(10\): ([-\d.]+)", out)[0] == pytest.approx(float(limit), abs=1e-14)


def test_example3_within_its_proved_bounds(exact, findings):
    """eta / (2 sqrt(k+1)) <= max(|x_k|, |x_k+1|), |x_k| <= eta / sqrt(k), with 100 digits."""
    with mpmath.workdps(100):
        x = [abs(value) for value in exact["example3"]]
        assert all(x[k] <= 1 / mpmath.sqrt(k) for k in range(1, 4001))
        assert all(max(x[k], x[k + 1]) >= 1 / (2 * mpmath.sqrt(k + 1)) for k in range(4000))
    assert findings("example3").count("as proved: True") == 2


@pytest.mark.parametrize("digits", [60, 200])
def test_120_digits_are_enough(digits):
    assert (
        recursions.sign_adagrad_norm(1.0, 0.5, 5000, digits)[0] == recursions.sign_adagrad_norm(1.0, 0.5, 5000)[0]
    ).all()


def test_a_recursion_that_lands_on_zero_stays():
    x, squares = recursions.sign_adagrad_norm(0.5, 0.25, 3)
    assert x.tolist() == [0.5, 0.0, 0.0, 0.0]
    assert squares.tolist() == [0.0, 0.25, 0.25, 0.25]
    assert recursions.subgradient_of_modulus(1.0, 1.0, 2).tolist() == [1.0, 0.0, 0.0]


# Example 4, Figure 1


def test_figure1(files, findings):
    out = findings("figure1")
    one = [orbits(files, "figure1", label) for label in ("GD", "scaled signGD (14)", "EF-signGD (12)")]
    assert all(len({x.tobytes() for x in repeat}) == 1 for repeat in zip(*one, strict=True))
    assert "bit for bit in 5 of 5 starts" in out
    assert [x[0, 0] for x in one[0]] == [3.01, -1.72, 0.43, -5.51, 8.27]
    factor = [(x[101] / x[100]) ** 2 for x in one[0]]
    assert numbers(r"k = 100: ([\d.]+) to ([\d.]+);", out) == pytest.approx([0.36, 0.36], abs=1e-6)
    assert np.array(factor).ravel() == pytest.approx(np.full(5, 0.36))  # (1 - 8 alpha)^2, f''(0) = 8
    assert "zeta = 0.985958" in out  # 1 - 2 mu alpha (1 - L alpha / 2), mu = 0.17553, L = 8
    for x in orbits(files, "figure1", "signGD (2)"):
        assert x[-3:, 0] == pytest.approx(x[-5:-2, 0], abs=1e-12)  # a cycle of two points
        assert abs(x[-1] - x[-2]) == pytest.approx(0.05)
    for label in ("SIGNUM, beta = 0.5", "SIGNUM, beta = 0.9", "SIGNUM, beta = 0.99"):
        assert label in out
        assert all(np.abs(x[-50:]).max() > 0.02 for x in orbits(files, "figure1", label))


def test_a_difference_in_one_bit_is_seen(files, findings, script, tmp_path):
    """The verdict is read from the file: with one x_k changed it is another."""
    import shutil

    import h5py

    shutil.copy(files / "figure1.h5", tmp_path / "touched.h5")
    with h5py.File(tmp_path / "touched.h5", "a") as file:
        x = file["runs/EF-signGD (12)/repeats/0002/x"]
        x[7, 0] = np.nextafter(x[7, 0], 1.0)
    status, out, _ = script("figure1", tmp_path / "touched.h5", "-o", tmp_path)
    assert status == 0
    assert "bit for bit in 4 of 5 starts" in out


@pytest.mark.parametrize("name", JOBS)
def test_another_job_s_file_is_refused_in_one_line(name, files, script, tmp_path):
    other = "example3" if name != "example3" else "example1"
    status, out, err = script(name, files / f"{other}.h5", "-o", tmp_path)
    assert (status, out) == (2, "")
    assert err.startswith(f"{name}.py: ")
    assert "expected a complete run of method = " in err
    assert err.count("\n") == 1


# Appendix A


def test_sharpness(script, tmp_path):
    """Without files; the formula is between the linear program with 12 coordinates and R1 in every line."""
    status, out, err = script("sharpness", "-o", tmp_path)
    assert (status, err) == (0, "")
    assert (tmp_path / "sharpness.png").stat().st_size > 20_000
    rows = re.findall(
        r"M = 1, .* repaired ([\d.]+), .* sharp ([\d.]+); .* program ([\d.]+) to ([\d.]+), example (.*)", out
    )
    assert len(rows) == 6
    for row in rows:
        repaired, sharp, low, high, example = map(float, row)
        assert example <= low + 1e-4
        assert low <= high <= sharp + 1e-4
        assert sharp <= repaired


def test_sharpness_of_a_counterexample(script, tmp_path, files):
    """The limits of the bounds by hand: CE-A, alpha = 1e-3, sigma^2 = .424, p_min = .8, L = 2, mu = 1."""
    job = experiment.read(ROOT / "jobs" / "ce-a.toml", ["iterations=30", "repeats=4"])
    runner.run(planning.plan(job, SerialCommunicator()), SerialCommunicator(), tmp_path / "ce-a.h5", range(4))
    status, out, err = script("sharpness", tmp_path / "ce-a.h5", "-o", tmp_path)
    assert (status, err) == (0, "")
    found = numbers(r"CE-A, M = 1: .* printed ([\d.]+), sharp ([\d.]+), repaired ([\d.]+), C0 ([\d.]+)", out)
    printed, offset = 0.424 * 0.002 / (2 * 0.598), 0.424 * 0.252
    assert found == pytest.approx([printed, offset / (2 * 0.638), offset / (2 * 0.598), 0.212 / 0.999**2], rel=5e-3)
    status, out, err = script("sharpness", files / "example1.h5", "-o", tmp_path)
    assert status == 2
    assert "expected a run of scaled-sign with a constant step" in err
    assert err.count("\n") == 1


def test_flows(script, tmp_path):
    status, out, err = script("flows", "-o", tmp_path)
    assert (status, err) == (0, "")
    assert (tmp_path / "flows.png").stat().st_size > 20_000
    assert (tmp_path / "flows.pdf").read_bytes().startswith(b"%PDF")
    assert "Proposition 1 holds: True; Proposition 2 holds: True" in out
    end, latest = numbers(r"minimum at t = ([\d.]+) after \d+ events; T = .* = ([\d.]+),", out)
    matrix = np.array([[0.8 ** abs(i - j) for j in range(8)] for i in range(8)])
    x0 = np.array([2.0, 1.5, -0.5, 1.0, 0.5, -1.0, 1.0, 2.0])
    assert latest == pytest.approx((x0 @ matrix @ x0 * np.linalg.inv(matrix).diagonal().max()) ** 0.5, abs=1e-4)
    # |x_i| cannot fall faster than beta = 1, and by T all is over.
    assert 2.0 <= end <= latest
    nearest = numbers(r"it is ([\d.]+), ([\d.]+), ([\d.]+) of Proposition 1's bound on Huber's function", out)
    # as delta -> 0 V is 1 - tau^2 of the bound where it is (1 - tau) V(0)
    assert nearest == pytest.approx([0.99, 0.75, 0.19], abs=0.011)
    rate, slowest = numbers(r"log V falls by ([\d.]+) .* 2 beta lambda_min = ([\d.]+)", out)
    assert slowest == pytest.approx(2 * np.linalg.eigvalsh(matrix)[0], abs=1e-4)
    assert slowest <= rate < 1.2 * slowest
