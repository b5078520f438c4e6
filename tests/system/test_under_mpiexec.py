"""The tests in tests/mpi, under mpiexec at several sizes, with either MPI."""

import re

import pytest

import forked
from launch import call, environment, programs

pytestmark = pytest.mark.ranks


@pytest.mark.parametrize(
    ("mpi", "ranks"), [*(("mpich", ranks) for ranks in (1, 2, 3, 5)), *(("openmpi", ranks) for ranks in (2, 5))]
)
def test_on_every_rank(mpi, ranks):
    folder = programs(mpi)
    # One BLAS thread a rank, as in a run: more would wait for cores that waiting ranks hold.
    one_thread = {"OPENBLAS_NUM_THREADS": "1"}
    python = forked.rank(folder / "python", environment(**one_thread))
    # -x: a failing rank leaves at once, and `-m mpi4py` then ends the others, who would wait for it.
    options = [
        "-x",
        "--with-mpi",
        "--timeout=120",
        "--timeout-method=thread",
        "-p",
        "no:cacheprovider",
        "--color=no",
        "-q",
        "-W",
        "ignore:Module already imported",  # a forked rank has: pytest does not rewrite what it did not import
    ]
    pytest_on_ranks = [*python, "-m", "mpi4py", "-m", "pytest", *options, "tests/mpi"]
    done = call([folder / "mpiexec", "-n", ranks, *pytest_on_ranks], **one_thread)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"\d+ passed in", done.stdout)) == ranks, done.stdout  # lines of ranks may run together
    assert "skipped" not in done.stdout
