"""What goes wrong on one rank ends all of them at once, is said once, and costs nothing that was finished."""

import os
import subprocess
import sys
import time

import h5py
import pytest

import stopping
from alone import planned
from digests import digests
from launch import call, environment, mpirun, mpisign
from mpisign import runner
from mpisign.checkpoints import Checkpoints, Stopped
from mpisign.cli import main
from mpisign.forecast.pretended import Pretended
from mpisign.output import claim
from mpisign.ranks import Alone
from mpisign.settings import BadInput
from mpisign.trajectory import Trajectory
from mpisign.watch import Watch

JOB = """
iterations = 100000
problem = { kind = "logistic", data = "wine" }
oracle = { kind = "stopping:Stopping", batch = 2 }
[[runs]]
label = "the run"
method = "scaled-sign"
workers = 3
step = { kind = "constant", alpha = 1e-3 }
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "job.toml").write_text(JOB)
    return tmp_path


def ending(folder, end, after=50, worker=1):
    """In `folder`, worker 1's host comes to this end when it is asked for the fiftieth time."""
    settings = {"STOPPING": end, "STOPPING_AFTER": str(after), "STOPPING_WORKER": str(worker)}
    return {"cwd": folder, "PYTHONPATH": os.path.dirname(__file__)} | settings


@pytest.mark.ranks
@pytest.mark.parametrize(("mpi", "exchange"), [("mpich", "server"), ("openmpi", "sharded"), ("mpich", "node")])
@pytest.mark.parametrize("end", ["raise", "kill"])
def test_nobody_waits_for_a_rank_that_failed(mpi, exchange, end, folder):
    """Asleep on a semaphore, or in a collective call. With the start of the ranks it takes some seconds; a minute would
    be too long. Then the run goes on."""
    run = ["run", "job.toml", "-o", "run.h5", "--resume", "--exchange", exchange, "--set", "iterations=200"]
    done = mpirun(mpi, 4, *run, **ending(folder, end), timeout=60)
    assert done.returncode not in (0, 2, 75)
    if end == "raise":
        assert done.stderr.count("mpisign: rank") == 1
        assert "mpisign: rank 2 failed, in 'the run', repeat 0, iteration k = 49: the last time;" in done.stderr
    elif hasattr(os, "pidfd_open"):
        assert done.stderr.count("mpisign: rank") == 1
        assert "mpisign: rank 2 (process " in done.stderr
        assert "is gone, in 'the run', repeat 0, past iteration k = " in done.stderr
    assert Trajectory(folder / "run.h5").runs[0].finished() == []
    assert mpisign(*run, **ending(folder, "raise", after=0)).returncode == 0
    assert len(Trajectory(folder / "run.h5").runs[0].finished()) == 1


@pytest.mark.ranks
def test_a_full_disk_is_said_in_one_line_by_the_rank_that_meets_it(folder):
    """No file may be longer than 40 kB."""
    run = f"{sys.executable} -m mpisign run job.toml -o run.h5 --set iterations=20 --set repeats=20"
    done = call(["bash", "-c", f"ulimit -f 40; exec {run}"], **ending(folder, "raise", after=0))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "File too large" in done.stderr
    finished = len(Trajectory(folder / "run.h5").runs[0].finished())
    assert sorted(os.listdir(folder)) == ["job.toml", "run.h5"]
    ranks = ["run", "job.toml", "-o", "run.h5", "--resume", "--set", "iterations=20", "--set", "repeats=20"]
    assert mpirun("mpich", 3, *ranks, **ending(folder, "raise", after=0)).returncode == 0
    assert finished < len(Trajectory(folder / "run.h5").runs[0].finished()) == 20


def test_an_error_in_one_process_says_where(folder):
    done = mpisign("run", "job.toml", "-o", "run.h5", **ending(folder, "raise"))
    assert done.returncode == 1
    assert "RuntimeError: the last time\nin 'the run', repeat 0, iteration k = 49\n" in done.stderr


@pytest.fixture
def stopped(folder, monkeypatch, capsys):
    """mpisign(ARGUMENTS) in this process, stopped at some k: its status, and what it said on stderr."""
    monkeypatch.chdir(folder)
    for name, value in ending(folder, "stop").items():
        monkeypatch.setenv(name, str(value))

    def run(*arguments):
        monkeypatch.setattr(stopping, "asked", 0)
        return main(list(arguments)), capsys.readouterr().err

    return run


def test_data_that_disappeared_or_changed(folder, stopped):
    """A file that is gone, or another one, is refused, and what was made from it stays as it is."""
    (folder / "data.svm").write_text("1 1:2\n-1 1:1 2:1\n1 2:3\n")
    (folder / "job.toml").write_text(JOB.replace("wine", "data.svm"))
    run = ["run", "job.toml", "-o", "run.h5", "--resume", "--set", "repeats=2"]
    assert stopped(*run)[0] == 75
    before = (folder / "run.h5").read_bytes()
    (folder / "data.svm").write_text("1 1:2\n-1 1:1 2:1\n1 2:4\n")
    status, said = stopped(*run)
    assert (status, said.count("\n")) == (2, 1)
    assert "run.h5: cannot go on with this file: it was made from other data" in said
    (folder / "data.svm").unlink()
    status, said = stopped(*run)
    assert (status, said.count("\n")) == (2, 1)
    assert "problem.data: no file" in said
    assert (folder / "run.h5").read_bytes() == before
    assert sorted(os.listdir(folder)) == ["job.toml", "run.h5"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--set", "seed=2"], "run.h5: cannot go on with this file: in it seed is 1, not 2 as in the job now"),
        (["--set", "runs.0.step.alpha=2"], "in it runs.0.step.alpha is 0.001, not 2 as in the job now"),
        (["--set", "runs.0.zeros=coin"], "in it runs.0.method.zeros is not set, not coin as in the job now"),
        (["--set", "repeats=3", "--repeats", "0:2"], "in it repeats is 1, not 3 as in the job now"),
        (["--overwrite"], "argument --overwrite: not allowed with argument --resume"),
    ],
)
def test_it_goes_on_with_its_own_experiment_only(folder, stopped, options, expected):
    run = ["run", "job.toml", "-o", "run.h5", "--resume"]
    assert stopped(*run)[0] == 75
    before = (folder / "run.h5").read_bytes()
    status, said = stopped(*run, *options)
    assert (status, said.count("\n")) == (2, 1)
    assert expected in said
    assert (folder / "run.h5").read_bytes() == before


def test_a_second_job_on_the_same_output_is_refused(folder, stopped):
    command = [sys.executable, "-m", "mpisign", "run", "job.toml", "-o", "run.h5", "--set", "iterations=1_000_000_000"]
    surroundings = environment(PYTHONPATH=os.path.dirname(__file__), STOPPING_WORKER="-1")
    with subprocess.Popen(command, cwd=folder, env=surroundings, stderr=subprocess.DEVNULL) as first:
        while first.poll() is None and not (folder / "run.h5").exists():
            time.sleep(0.05)
        said = [stopped(*command[3:], again) for again in ("--resume", "--overwrite")]
        first.terminate()
        assert first.wait() == 75
    refused = "mpisign: run.h5: cannot write this output; another job is writing it: run.h5.part is locked\n"
    assert said == 2 * [(2, refused)]
    with claim(folder / "run.h5"):
        pass


def test_what_is_claimed_is_given_back_whoever_came_between(tmp_path):
    """The one who has renamed its unfinished file leaves that of the next alone."""
    output, part = tmp_path / "out.h5", tmp_path / "out.h5.part"
    with claim(output):
        with pytest.raises(BadInput, match="another job is writing it"), claim(output):
            raise AssertionError("twice")
        part.rename(output)
        with claim(output):
            assert part.exists()
        assert not part.exists()
        part.touch()
    assert part.exists()


@pytest.mark.parametrize("seen", ["no such process", "another file"])
def test_ranks_that_do_not_see_each_others_processes_are_not_watched(seen, monkeypatch, tmp_path):
    """As in containers of their own: a number there is another process, which is neither written to nor ended."""

    class Two(Pretended):
        def processes(self):
            return [2**22 + 1, os.getpid()] if seen == "no such process" else [os.getpid(), os.getpid()]

        def broadcast(self, row):
            with (tmp_path / "another file").open("w+b") as file:
                self.kept = os.dup(file.fileno())
            row[0] = self.kept

    before = os.listdir("/proc/self/fd")
    ranks = Two(1, 2)
    with Watch(ranks) as watch:
        watch.enter("somewhere")
        watch.at(7)
        assert not watch._watched
    os.close(ranks.kept)
    assert (tmp_path / "another file").read_bytes() == b""
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.ranks
@pytest.mark.parametrize("exchange", ["server", "sharded"])
def test_the_vote_goes_on_without_a_lost_worker(exchange, folder, monkeypatch):
    """Worker 1's rank is killed. From the last checkpoint on workers 0 and 2 vote, as they do in one process, and in
    all of the next repeat."""
    text = JOB.replace("100000", "3000").replace("scaled-sign", "signum") + "[log]\nevery = 500\n"
    (folder / "job.toml").write_text(text.replace("[[runs]]", "repeats = 2\n[[runs]]"))
    run = ["run", "job.toml", "-o", "run.h5", "--exchange", exchange, "--on-failure", "continue"]
    done = mpirun("openmpi", 4, *run, **ending(folder, "kill", after=2500), options=["--with-ft", "ulfm"])
    assert done.returncode == 0, done.stderr
    assert "mpisign: rank 2 of 4 is lost; 3 go on\n" in done.stderr
    with h5py.File(folder / "run.h5") as file:
        ((k, left),), from_the_start = (
            file[f"runs/the run/repeats/{number}"].attrs["workers_from"].tolist() for number in ("0000", "0001")
        )
    assert (0 <= k < 2500, left) == (True, 2)
    assert from_the_start == [[0, 2]]
    alone = planned((folder / "job.toml").read_text())
    output = folder / "alone.h5"
    if k:
        monkeypatch.setattr(Checkpoints, "over", stopping_at(k))
        with pytest.raises(Stopped):
            runner.run(alone, Alone(), output, range(2))
        monkeypatch.undo()
    left = alone._replace(runs=[alone.runs[0]._replace(left=(0, 2))])
    runner.run(left, Alone(), output, range(2), resume=k > 0)
    assert digests(output) == digests(folder / "run.h5")


def stopping_at(k):
    def over(self, first, iterations, save):
        yield from range(first, k)
        save(k)
        raise Stopped(10)

    return over


@pytest.mark.ranks
@pytest.mark.parametrize(
    ("mpi", "exchange", "options", "reason"),
    [
        ("mpich", "server", [], "it needs Open MPI 5, which has ULFM; this is MPICH"),
        ("openmpi", "server", [], "it needs ULFM: Open MPI 5, started with mpirun --with-ft ulfm"),
        ("openmpi", "node", ["--with-ft", "ulfm"], "it goes with the exchanges server and sharded"),
    ],
)
def test_where_a_lost_rank_cannot_be_survived_it_is_refused(mpi, exchange, options, reason, folder):
    run = ["run", "job.toml", "-o", "run.h5", "--exchange", exchange, "--on-failure", "continue"]
    done = mpirun(mpi, 2, *run, **ending(folder, "raise"), options=options)
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if reason in line] == [
        line for line in done.stderr.splitlines() if "mpisign:" in line
    ]
    assert f"mpisign: --on-failure: cannot continue: {reason}" in done.stderr
    assert sorted(os.listdir(folder)) == ["job.toml"]


def test_one_process_has_nobody_to_lose(folder):
    done = mpisign("run", "job.toml", "-o", "run.h5", "--on-failure", "continue", **ending(folder, "raise"))
    assert (done.returncode, done.stderr) == (2, "mpisign: --on-failure: cannot continue: there is one process\n")
