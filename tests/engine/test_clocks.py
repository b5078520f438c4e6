"""The clocks of the parts of an iteration: they add up, go on with a run, and change nothing else."""

import itertools
import time

import numpy as np
import pytest

import mpisign
from alone import run_alone
from digests import digests
from launch import HELPERS, mpirun
from mpisign.audit.figures.beyond import clocks as figure
from mpisign.cli.main import main
from mpisign.comm.communicator import SerialCommunicator
from mpisign.engine.records.clocks import EVALUATION, GRADIENT, STEP, Clocks
from mpisign.storage import summary
from mpisign.storage.trajectory import CLOCKS, PHASES, Trajectory

JOB = """
    repeats = 2
    iterations = 60
    log = { every = 6 }
    problem = { kind = "logistic", data = "wine" }
    oracle = { kind = "minibatch", batch = 4 }
    [[runs]]
    label = "a"
    method = "ef-sign"
    workers = 2
    step = { kind = "constant", alpha = 0.2 }
    """


@pytest.fixture
def ticking(monkeypatch):
    """A clock that is a second later each time it is looked at."""
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter_ns", lambda: 10**9 * next(ticks))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))


def add_up(columns):
    """Whether the parts are the seconds but for three looks at the clock a record: of 36 in six iterations."""
    parts = sum(columns[f"clock_{name}"] for name in ITERATING)
    return (np.abs(columns["seconds"] - parts) <= 3 * np.arange(1, len(parts) + 1)).all()


ITERATING = ("gradient", "encode", "exchange", "step")


def test_they_add_up_to_the_seconds_and_nothing_else_changes(tmp_path, ticking):
    """In one process rank 0 is the slowest worker."""
    plain = digests(run_alone(tmp_path, JOB))
    path = run_alone(tmp_path, JOB, "log.clocks=true")
    for repeat in Trajectory(path).runs[0].repeats:
        columns = repeat.columns
        assert add_up(columns)
        assert columns["seconds"][-1] > 360
        for name in PHASES:
            assert np.array_equal(columns[f"clock_{name}"], columns[f"slowest_{name}"]), name
            assert (np.diff(columns[f"clock_{name}"]) >= 0).all(), name
        assert all(columns[f"clock_{name}"][-1] > 0 for name in (*ITERATING, "evaluation"))
    kept = {name: digest for name, digest in digests(path).items() if name.rpartition("/")[2] not in CLOCKS}
    assert kept == plain


class Three(SerialCommunicator):
    """Rank 0 of three; the other two have these rows."""

    size = 3

    def table(self, rows, columns):
        return np.zeros((3 * rows, columns), dtype=np.uint64)

    def gather(self, table):
        table.view(np.float64)[2:] = [[9, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [1, 7, 0, 0, 0, 0], [2, 8, 0, 0, 0, 0]]


def test_the_slowest_is_the_most_of_any_rank_with_workers(ticking):
    """Rank 0 hosts none; by hand."""
    clocks = Clocks(Three(), False, 2, np.arange(12.0))
    clocks.start()
    clocks.lap(GRADIENT)
    first = list(clocks.own().values())
    clocks.lap(STEP)
    clocks.lap(EVALUATION)
    found = clocks.columns(np.array([first, list(clocks.own().values())]))
    assert [found[f"clock_{name}"].tolist() for name in PHASES] == [[1, 1], [1, 1], [2, 2], [3, 4], [5, 5], [5, 5]]
    assert [found[f"slowest_{name}"].tolist() for name in ("gradient", "encode")] == [[6 + 9, 6 + 2], [7 + 7, 7 + 8]]
    assert clocks.totals().tolist() == [1, 1, 2, 4, 5, 5, 15, 14, 8, 9, 10, 11]


def test_they_go_on_with_a_run(tmp_path, monkeypatch, ticking):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.toml").write_text(JOB)
    on = ["run", "job.toml", "--set", "log.clocks=true", "-o", "out.h5"]
    assert main(on) == 0
    first = Trajectory("out.h5").runs[0].repeats
    assert main([*on, "--resume", "--set", "iterations=90"]) == 0
    for repeat, before in zip(Trajectory("out.h5").runs[0].repeats, first, strict=True):
        for name in CLOCKS:
            assert np.array_equal(repeat.columns[name][:10], before.columns[name][:10])
            assert (np.diff(repeat.columns[name]) >= 0).all(), name
        assert add_up(repeat.columns)
    assert main(["rerun", "out.h5"]) == 0


def test_info_says_so_and_the_picture_has_every_part(tmp_path, monkeypatch):
    monkeypatch.setenv("MPISIGN_COMPILE", "always")
    trajectory = Trajectory(run_alone(tmp_path, JOB, "log.clocks=true"))
    text = summary.text(trajectory).splitlines()
    assert text[4].endswith("  0%")
    assert text[-1] == "clocks were on: every iteration was interpreted, and seconds are more than without them"
    (axes,) = figure.draw(trajectory).axes
    assert [len(bars) for bars in axes.containers] == [1] * len(PHASES)
    ends = [bars[0].get_x() + bars[0].get_width() for bars in axes.containers]
    median = [np.median([r.columns[f"clock_{name}"][-1] for r in trajectory.runs[0].repeats]) for name in PHASES]
    assert ends == pytest.approx(np.cumsum(median))
    results = mpisign.load(tmp_path / "out.h5")["a"]
    assert results.to_xarray()["slowest_step"].shape == results.clock_step.shape == (2, 11)
    assert "clock_step" in results.to_dataframe()


def test_a_file_without_clocks_has_no_such_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = run_alone(tmp_path, JOB)
    assert not figure.has_clocks(Trajectory(path))
    with pytest.raises(mpisign.InputError, match=r"expected a run with log\.clocks = true"):
        figure.draw(Trajectory(path))
    with pytest.raises(AttributeError, match=r"log\.clocks = true keeps it"):
        _ = mpisign.load(path)["a"].clock_step


@pytest.mark.ranks
def test_under_ranks(tmp_path, monkeypatch):
    """Rank 0 hosts no worker: it asks for no gradient, and the slowest worker does."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.toml").write_text(JOB)
    on = ["run", "job.toml", "--set", "log.clocks=true", "-o", "out.h5"]
    assert mpirun("mpich", 3, *on, cwd=tmp_path, PYTHONPATH=HELPERS).returncode == 0
    for repeat in Trajectory("out.h5").runs[0].repeats:
        assert repeat.columns["clock_gradient"][-1] == 0 < repeat.columns["slowest_gradient"][-1]
