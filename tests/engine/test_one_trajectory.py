"""One job, one trajectory: in one process, under mpiexec, on fewer ranks than workers, with either MPI; float32 too."""

import re
import sys

import h5py
import pytest

from digests import ZEROS, digests, policies
from launch import call, mpirun, mpisign
from mpisign.aggregation.exchange_registry import EXCHANGES
from mpisign.algorithms.methods import METHODS
from mpisign.storage.trajectory import Trajectory

pytestmark = pytest.mark.ranks

WORKERS = (1, 2, 3, 4, 7)


def job():
    """Every method, every zeros policy, odd and even M; raw counts with many zero pixels, so that zeros occur."""
    lines = [
        "seed = 7",
        "repeats = 2",
        "iterations = 12",
        'problem = { kind = "logistic", data = "digits", scaling = "raw" }',
        'oracle = { kind = "minibatch", batch = 2 }',
        'start = { kind = "zeros" }',
        "log = { every = 4, iterates = true }",
    ]
    for method in METHODS:
        for zeros in policies(method):
            for workers, precision in [*((each, "float64") for each in WORKERS), (2, "float32"), (3, "float32")]:
                lines += [
                    "[[runs]]",
                    f'label = "{method} {zeros} {workers}{" float32" if precision == "float32" else ""}"',
                    f'method = "{method}"',
                    f"workers = {workers}",
                    f'precision = "{precision}"',
                    'step = { kind = "constant", alpha = 1e-3 }',
                ]
                lines += [f'zeros = "{zeros}"'] if len(policies(method)) > 1 else []
    for workers in WORKERS:
        lines += ["[[runs]]", f'label = "shards {workers}"', f'method = "scaled-sign"\nworkers = {workers}']
        lines += ['oracle = { kind = "minibatch", batch = 3, sampling = "shard" }']
        lines += ['step = { kind = "constant", alpha = 1e-3 }']
    return "\n".join(lines)


@pytest.fixture(scope="module")
def job_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("one") / "job.toml"
    path.write_text(job())
    return path


@pytest.fixture(scope="module")
def alone(job_file):
    output = job_file.with_name("alone.h5")
    done = mpisign("run", job_file, "-o", output)
    assert done.returncode == 0, done.stderr
    return digests(output)


def test_the_job_meets_zeros_and_ties(job_file, alone):
    """Otherwise the equalities below would say little: the second plane travelled, and the policies differ."""
    with h5py.File(job_file.with_name("alone.h5")) as file:
        one_plane = 12 * 128 * 2
        assert file["runs/sign exact 2/repeats/0000/bits_up"][-1] > one_plane
        assert file["runs/sign exact 3/repeats/0000/bits_up"][-1] > 12 * 128 * 3
        assert file["runs/sign coin 2/repeats/0000/bits_up"][-1] == one_plane
    for workers in WORKERS:
        ends = {alone[f"runs/scaled-sign {zeros} {workers}/repeats/0000"] for zeros in ZEROS}
        assert len(ends) == 3


def compiled_of(output):
    """How many iterations of the first repeats were compiled; those in float32 never are."""
    return {run.repeats[0].compiled for run in Trajectory(output) if run.precision == "float64"}


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("mpi", ["mpich", "openmpi"])
def test_same_bits_under_mpi(mpi, ranks, job_file, alone):
    """The first repeat, compiled between two records; both are left to the test below."""
    output = job_file.with_name(f"{mpi}-{ranks}.h5")
    done = mpirun(mpi, ranks, "run", job_file, "-o", output, "--repeats", "0:1", MPISIGN_COMPILE="always")
    assert done.returncode == 0, done.stderr
    assert compiled_of(output) == {9}  # of 12; 0, 4 and 8 are recorded
    assert digests(output) == {
        name: value for name, value in alone.items() if "/repeats/" not in name or "/0000" in name
    }


@pytest.mark.parametrize(
    ("mpi", "ranks", "exchange", "compiled"), [("mpich", 3, "sharded", 0), ("openmpi", 4, "node", 9)]
)
def test_same_bits_by_every_exchange(mpi, ranks, exchange, compiled, job_file, alone):
    output = job_file.with_name(f"{mpi}-{exchange}.h5")
    exchanged = ("--repeats", "0:1", "--exchange", exchange)
    done = mpirun(mpi, ranks, "run", job_file, "-o", output, *exchanged, MPISIGN_COMPILE="always")
    assert done.returncode == 0, done.stderr
    assert compiled_of(output) == {compiled}
    assert digests(output) == {
        name: value for name, value in alone.items() if "/repeats/" not in name or "/0000" in name
    }


def test_same_bits_with_a_rank_to_spare(job_file, alone):
    """Of three ranks, the last has no worker where M = 1."""
    output = job_file.with_name("spare.h5")
    done = mpirun("mpich", 3, "run", job_file, "-o", output)
    assert done.returncode == 0, done.stderr
    assert digests(output) == alone


def test_a_trial_chooses_the_fastest_exchange_and_says_so(tmp_path):
    """Three kinds of messages, on two workers; the trajectories are those of one process."""
    job, lone, output = (tmp_path / name for name in ("job.toml", "alone.h5", "auto.h5"))
    runs = "".join(
        f'[[runs]]\nmethod = "{method}"\nworkers = 2\nstep = {{ kind = "constant", alpha = 1e-3 }}\n'
        for method in ("gd", "scaled-sign", "ef-sign")
    )
    job.write_text(f'iterations = 20\nproblem = {{ kind = "separable", eigenvalues = [1.0, 4.0, 9.0] }}\n{runs}')
    assert mpisign("run", job, "-o", lone).returncode == 0
    done = mpirun("mpich", 3, "run", job, "-o", output, "--exchange", "auto")
    assert done.returncode == 0, done.stderr
    assert digests(output) == digests(lone)
    said = re.findall(r"^(.+): exchange (\w+); microseconds a round, tried on these ranks: (.+)$", done.stdout, re.M)
    with h5py.File(output) as file:
        chosen = {label: run.attrs["exchange"] for label, run in file["runs"].items()}
    assert {label: name for label, name, _ in said} == chosen
    for _, name, times in said:
        tried = {other: float(time) for other, time in (pair.split() for pair in times.partition(";")[0].split(", "))}
        assert set(tried) == set(EXCHANGES)
        assert tried[name] == min(tried.values())


def test_same_bits_with_more_blas_threads(job_file, alone):
    output = job_file.with_name("threads.h5")
    done = mpisign("run", job_file, "-o", output, "--repeats", "1:2", OPENBLAS_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr
    assert digests(output) == {
        name: value for name, value in alone.items() if "/repeats/" not in name or "/0001" in name
    }


def test_one_process_imports_neither_mpi4py_nor_what_is_slow_to_import(tmp_path):
    job = tmp_path / "job.toml"
    job.write_text(
        'iterations = 2\nproblem = { kind = "logistic", data = "wine" }\n'
        '[[runs]]\nmethod = "scaled-sign"\nworkers = 3\nstep = { kind = "constant", alpha = 0.1 }\n'
    )
    assert mpisign("run", job, "-o", tmp_path / "first.h5").returncode == 0  # f* is solved for once
    slow = ("mpi4py", "scipy.stats", "scipy.optimize", "sklearn", "matplotlib", "mpisign.data.libsvm_scanner")
    code = (
        "import sys; from mpisign.cli.main import main; "
        f"status = main(['run', {str(job)!r}, '-o', {str(tmp_path / 'lone.h5')!r}]); "
        f"print(*(name for name in {slow} if name in sys.modules)); "
        "sys.exit(status)"
    )
    done = call([sys.executable, "-c", code])
    assert (done.returncode, done.stdout.splitlines()[1:]) == (0, [""])
