"""What moves x: functions against many digits, sums against exact ones, the same bits on unlike processors."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from launch import call, mpisign, programs
from mpisign import fixed_order
from mpisign.storage.trajectory import Trajectory

NUMBERS = arrays(np.float64, st.integers(1, 70), elements=st.floats(-1e6, 1e6))


def ulps(found, true):
    return abs(float((mpmath.mpf(found) - true) / mpmath.mpf(np.spacing(abs(float(true))))))


@given(x=st.floats(-745, 0))
def test_exp_is_right_to_an_ulp(x):
    assert ulps(fixed_order.exp_of_negative(x), mpmath.exp(mpmath.mpf(x))) <= 1


def test_exp_at_the_ends():
    exp = fixed_order.exp_of_negative
    assert [exp(0.0), exp(-0.0), exp(-1000.0), exp(-math.inf)] == [1.0, 1.0, 0.0, 0.0]
    assert math.isnan(exp(math.nan))


@given(angle=st.floats(-1e6, 1e6))
def test_sine_is_right_to_two_ulps(angle):
    out = np.empty(1)
    fixed_order.sine(np.array([angle]), out)
    assert out[0] == 0 == angle or ulps(out[0], mpmath.sin(mpmath.mpf(angle))) <= 2


@given(vector=NUMBERS)
def test_sums_are_right_to_rounding(vector):
    parts = [abs(Fraction(v)) for v in vector.tolist()]
    assert fixed_order.l1_norm(vector) == pytest.approx(float(sum(parts)), rel=1e-14)
    assert fixed_order.squares(vector, 1.0) == pytest.approx(float(sum(p * p for p in parts)), rel=1e-14)
    large = sum(Fraction(v) ** 2 for v in (1e190 * vector).tolist()) / Fraction(2) ** 1300
    assert fixed_order.squares(1e190 * vector, 2.0**650) == pytest.approx(float(large), rel=1e-14, abs=1e-300)
    assert fixed_order.peak(vector) == float(max(parts))


@given(x=NUMBERS, n=st.integers(1, 9))
def test_a_product_is_right_to_rounding(x, n):
    matrix, out = np.random.default_rng(n).standard_normal((n, len(x))), np.empty(n)
    fixed_order.multiply(matrix, x, out)
    assert out == pytest.approx(matrix @ x, rel=1e-12, abs=1e-14 * len(x) * max(1.0, np.abs(x).max()))


def job(folder, problem, *methods, oracle="", workers=1, alpha=0.25, start="point", x=(1.0,), iterations=3):
    """A job file with a run a method, from x_0."""
    lines = [f"iterations = {iterations}", f"problem = {problem}", "log = { every = 1, iterates = true }", oracle]
    lines += ["[start]", f'kind = "{start}"'] + ([f"x = {list(x)}"] if start == "point" else [])
    for method in methods:
        lines += ["[[runs]]", f'method = "{method}"', f"workers = {workers}"]
        lines += [f'step = {{ kind = "constant", alpha = {alpha} }}']
    (folder / "job.toml").write_text("\n".join(lines))
    return folder / "job.toml"


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e-130, 1.0, 1e130, 1e200])
def test_adagrad_norm_moves_at_the_ends_of_float64(tmp_path, size):
    """(5) with f = lambda x^2 / 2 and x_0 = 1: b_1 = lambda, whatever lambda is, and x_1 = 1 - alpha."""
    path = job(tmp_path, f'{{ kind = "separable", eigenvalues = [{size}] }}', "adagrad-norm")
    assert mpisign("run", path, "-o", tmp_path / "r.h5").returncode == 0
    (repeat,) = next(iter(Trajectory(tmp_path / "r.h5", iterates=True))).repeats
    x, b = [1.0], 0.0
    for _ in range(3):
        b = math.hypot(b, x[-1])
        x.append(x[-1] - 0.25 / b * x[-1])
    assert repeat.columns["x"][:, 0] == pytest.approx(x, rel=1e-14)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("size", [1e-290, 1e-170, 1.0, 1e200])
def test_its_first_sign_variant_moves_at_the_ends_of_float64(tmp_path, size, workers):
    """(6) with the same f and alpha = lambda / 4: b_1 = lambda, so that x_1 = 3/4."""
    problem = f'{{ kind = "separable", eigenvalues = [{size}] }}'
    path = job(tmp_path, problem, "sign-adagrad-norm", workers=workers, alpha=0.25 * size)
    assert mpisign("run", path, "-o", tmp_path / "r.h5").returncode == 0
    (repeat,) = next(iter(Trajectory(tmp_path / "r.h5", iterates=True))).repeats
    x, b = [1.0], 0.0
    for _ in range(3):
        b = math.hypot(b, x[-1])
        x.append(x[-1] - 0.25 / b)
    assert repeat.columns["x"][:, 0] == pytest.approx(x, rel=1e-14)


@pytest.mark.parametrize("method", ["gd", "sign", "scaled-sign"])
def test_the_mean_of_two_large_numbers_is_finite(tmp_path, method):
    path = job(tmp_path, '{ kind = "separable", eigenvalues = [1.5e308] }', method, workers=2, alpha=1e-309)
    assert mpisign("run", path, "-o", tmp_path / "r.h5").returncode == 0
    (repeat,) = next(iter(Trajectory(tmp_path / "r.h5"))).repeats
    assert repeat.status == "complete"
    assert np.isfinite(repeat.columns["scale"][:-1]).all()


ODD = {
    "OPENBLAS_CORETYPE": "PRESCOTT",
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F",
}
"""A rank that takes itself for an old processor: other kernels in BLAS, numpy and the C library."""


@pytest.mark.ranks
def test_ranks_on_unlike_processors_have_the_same_x(tmp_path):
    """One of three ranks is odd, and hosts a worker; against one process."""
    matrix = np.random.default_rng(5).integers(-4, 5, (60, 60)).astype(float)
    matrix = (matrix @ matrix.T + np.eye(60)).tolist()
    methods = ["gd", "scaled-sign", "adagrad-norm", "ef-sign"]
    quadratic = job(
        tmp_path,
        f'{{ kind = "quadratic", matrix = {matrix} }}',
        *methods,
        workers=2,
        alpha=1e-4,
        start="normal",
        iterations=100,
        oracle='oracle = { kind = "additive", noise = "uniform", size = 0.1, decoupled = true }',
    )
    logistic = tmp_path / "logistic.toml"
    logistic.write_text(
        quadratic.read_text().replace(
            next(line for line in quadratic.read_text().splitlines() if "quadratic" in line),
            'problem = { kind = "logistic", data = "breast-cancer" }',
        )
    )
    folder = programs("mpich")
    python = [folder / "python", "-m", "mpi4py", "-m", "mpisign", "run"]
    odd = ["env", *(f"{name}={value}" for name, value in ODD.items())]
    for path in (quadratic, logistic):
        alone, ranks = tmp_path / f"{path.stem}-alone.h5", tmp_path / f"{path.stem}-ranks.h5"
        assert mpisign("run", path, "-o", alone).returncode == 0
        command = [*python, path, "-o", ranks]
        done = call([folder / "mpiexec", "-n", 2, *command, ":", "-n", 1, *odd, *command])
        assert done.returncode == 0, done.stderr
        hashes = [[[r.sha256 for r in run.repeats] for run in Trajectory(file)] for file in (alone, ranks)]
        assert hashes[0] == hashes[1]
