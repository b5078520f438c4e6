"""What goes wrong on one rank ends all of them at once, is said once, and costs nothing that was finished."""

import errno
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import h5py
import pytest

import stopping
from alone import planned, run_without
from digests import digests
from launch import HELPERS, call, environment, mpirun, mpisign
from mpisign.aggregation import autotune
from mpisign.cli.main import main
from mpisign.comm import mpi, survival, watchdog_process
from mpisign.comm.communicator import SerialCommunicator
from mpisign.comm.startup import connect
from mpisign.comm.watchdog import Watch
from mpisign.config.validation import InputError
from mpisign.engine import elastic, planning, runner
from mpisign.stop_signals import StopSignals
from mpisign.storage.output_file import check_output, lock_output
from mpisign.storage.trajectory import Trajectory
from mpisign.tools.dryrun.mock_communicator import MockCommunicator

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
    return {"cwd": folder, "PYTHONPATH": HELPERS} | settings


@pytest.mark.ranks
@pytest.mark.parametrize(("mpi", "exchange"), [("mpich", "server"), ("openmpi", "sharded"), ("mpich", "node")])
@pytest.mark.parametrize("end", ["raise", "kill"])
def test_nobody_waits_for_a_rank_that_failed(mpi, exchange, end, folder):
    """Asleep on a semaphore, or in a collective call. With the start of the ranks it takes some seconds; a minute would
    be too long. Then the run goes on."""
    run = ["run", "job.toml", "-o", "run.h5", "--resume", "--exchange", exchange, "--set", "iterations=200"]
    done = mpirun(mpi, 4, *run, **ending(folder, end), timeout=60, real=True)
    assert done.returncode not in (0, 2, 75)
    if end == "raise":
        assert done.stderr.count("mpisign: rank") == 1
        assert "mpisign: rank 2 failed, in 'the run', repeat 0, iteration k = 49: the last time;" in done.stderr
        assert "the last time; ending all ranks; --resume goes on from the last checkpoint\n" in done.stderr
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
    done = mpisign("run", "job.toml", "-o", "run.h5", **ending(folder, "raise"), real=True)
    assert done.returncode == 1
    said = "RuntimeError: the last time\nin 'the run', repeat 0, iteration k = 49\n"
    assert f"{said}--resume goes on from the last checkpoint\n" in done.stderr


@pytest.mark.parametrize(
    ("error", "status", "expected"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "run.h5.part"),
            1,
            "in 'the run', repeat 0, iteration k = 20: run.h5.part: No space left on device; "
            "make room, and --resume goes on from the last checkpoint",
        ),
        (KeyboardInterrupt(), 130, "interrupted; --resume goes on from the last checkpoint"),
    ],
)
def test_what_goes_on_is_said_in_the_same_line(error, status, expected, folder, monkeypatch, capsys):
    def finish(*arguments):
        raise error

    monkeypatch.chdir(folder)
    monkeypatch.setattr("mpisign.storage.writer.RepeatWriter.finish", finish)
    changes = ["--set", "iterations=20", "--set", "oracle.kind=minibatch"]
    assert main(["run", "job.toml", "-o", "run.h5", *changes]) == status
    assert capsys.readouterr().err == f"mpisign: {expected}\n"


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyboardInterrupt(), "mpisign: interrupted\n"),
        (OSError(28, "No space left on device"), "No space left on device; ending all ranks\n"),
        (RuntimeError("all"), "all; ending all ranks\n"),
    ],
)
def test_an_error_of_all_ranks_is_said_by_the_first_that_can(error, said, rank, monkeypatch, capsys):
    """Without a traceback of each: who speaks has ended the others before their turn. No second interrupt is heard."""
    slept, statuses, ignored = [], [], []
    monkeypatch.setattr(survival.time, "sleep", slept.append)
    monkeypatch.setattr(survival.signal, "signal", lambda *what: ignored.append(what))
    failed = object.__new__(mpi.MPICommunicator)
    failed.rank, failed._communicator = rank, SimpleNamespace(Abort=statuses.append)
    with pytest.raises(type(error)):
        failed.__exit__(type(error), error, None)
    assert (slept, statuses) == ([2 * rank * survival._HEARD, survival._HEARD], [1])
    assert ignored == [(signal.SIGINT, signal.SIG_IGN)]
    printed = capsys.readouterr().err
    assert printed.endswith(said)
    assert printed == said or not isinstance(error, KeyboardInterrupt)


@pytest.mark.parametrize(("size", "before"), [("", ""), ("4", "launcher: it started 4 processes, but ")])
def test_without_mpi_it_says_what_to_do(size, before, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.setenv("PMI_SIZE", size)
    with pytest.raises(InputError) as complaint:
        connect()
    said = str(complaint.value)
    assert said.startswith(f"{before}mpi4py cannot load MPI: ")
    assert said.endswith("; mpisign doctor says what to install")


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
        (["--set", "runs.0.zeros=coin"], "in it runs.0.method.zeros is exact, not coin as in the job now"),
        (["--set", "repeats=3", "--repeats", "1:2"], "--repeats: run.h5 has the repeats 0:1; leave it out to go on"),
        (["--set", "iterations=3"], "in it runs.0.iterations is "),
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
    surroundings = environment(PYTHONPATH=HELPERS, STOPPING_WORKER="-1")
    with subprocess.Popen(command, cwd=folder, env=surroundings, stderr=subprocess.DEVNULL) as first:
        while first.poll() is None and not (folder / "run.h5").exists():
            time.sleep(0.05)
        said = [stopped(*command[3:], again) for again in ("--resume", "--overwrite")]
        first.terminate()
        assert first.wait() == 75
    refused = "mpisign: run.h5: cannot write this output; another job is writing it: run.h5.part is locked\n"
    assert said == 2 * [(2, refused)]
    with lock_output(folder / "run.h5"):
        pass


@pytest.mark.parametrize("option", [[], ["--resume"], ["--on-failure=continue"]])
def test_what_another_job_wrote_while_this_one_was_planned_stays(option, folder, stopped, monkeypatch):
    def plan(*arguments):
        (folder / "run.h5").write_text("finished meanwhile")
        return really(*arguments)

    really = planning.plan
    monkeypatch.setattr(planning, "plan", plan)
    monkeypatch.setattr(SerialCommunicator, "cannot_survive", lambda ranks: "")
    refused = "mpisign: run.h5: another job has written this output meanwhile; give another name\n"
    assert stopped("run", "job.toml", "-o", "run.h5", *option) == (2, refused)
    assert (folder / "run.h5").read_text() == "finished meanwhile"
    assert sorted(os.listdir(folder)) == ["job.toml", "run.h5"]


def test_what_is_claimed_is_given_back_whoever_came_between(tmp_path):
    """The one who has renamed its unfinished file leaves that of the next alone."""
    output, part = tmp_path / "out.h5", tmp_path / "out.h5.part"
    with lock_output(output):
        with pytest.raises(InputError, match="another job is writing it"), lock_output(output):
            raise AssertionError("twice")
        part.rename(output)
        with lock_output(output):
            assert part.exists()
        assert not part.exists()
        part.touch()
    assert part.exists()


@pytest.mark.parametrize("seen", ["no such process", "another file"])
def test_ranks_that_do_not_see_each_others_processes_are_not_watched(seen, monkeypatch, tmp_path):
    """As in containers of their own: a number there is another process, which is neither written to nor ended."""

    class Two(MockCommunicator):
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
def test_the_vote_goes_on_without_a_lost_worker(exchange, folder):
    """Worker 1's rank is killed. From the last checkpoint on workers 0 and 2 vote, as they do in one process, and in
    all of the next repeat."""
    text = JOB.replace("100000", "3000").replace("scaled-sign", "signum") + "[log]\nevery = 500\n"
    (folder / "job.toml").write_text(text.replace("[[runs]]", "repeats = 2\n[[runs]]"))
    run = ["run", "job.toml", "-o", "run.h5", "--exchange", exchange, "--on-failure", "continue"]
    done = mpirun("openmpi", 4, *run, **ending(folder, "kill", after=2500), options=["--with-ft", "ulfm"])
    assert done.returncode == 0, done.stderr
    assert "mpisign: rank 2 of 4 is lost; the other 3 go on from the last checkpoint\n" in done.stderr
    with h5py.File(folder / "run.h5") as file:
        ((k, left),), from_the_start = (
            file[f"runs/the run/repeats/{number}"].attrs["workers_from"].tolist() for number in ("0000", "0001")
        )
    assert (0 <= k < 2500, left) == (True, 2)
    assert from_the_start == [[0, 2]]
    run_without(folder / "alone.h5", (folder / "job.toml").read_text(), k, (0, 2))
    assert digests(folder / "alone.h5") == digests(folder / "run.h5")


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


@pytest.mark.parametrize(
    ("value", "said"), [("true", "with mpi_ft_detector both sides of a broken link"), ("1", "with mpi"), ("false", "")]
)
def test_a_detector_by_which_two_halves_would_go_on_is_refused(value, said):
    started = {"OMPI_MCA_mpi_ft_enable": "1"}
    assert survival.ulfm_missing("Open MPI v5.0.11", started) == ""
    reason = survival.ulfm_missing("Open MPI v5.0.11", started | {"OMPI_MCA_mpi_ft_detector": value})
    assert reason.startswith(said)
    assert bool(reason) == bool(said)


def test_one_process_has_nobody_to_lose(folder):
    done = mpisign("run", "job.toml", "-o", "run.h5", "--on-failure", "continue", **ending(folder, "raise"))
    assert (done.returncode, done.stderr) == (2, "mpisign: --on-failure: cannot continue: there is one process\n")


class Lost(Exception):
    """What says that a rank was lost."""


class Losing(SerialCommunicator):
    """So many ranks, of which `left` alone are left when a run of theirs raises Lost; this one is the new root."""

    def __init__(self, size, left):
        self.size, self._left = size, left

    def lost(self, error):
        return isinstance(error, Lost)

    def survivors(self):
        ranks = SerialCommunicator()
        ranks.size = len(self._left)
        return ranks, self._left


@pytest.fixture
def losing(folder, monkeypatch, capsys):
    """Run the job with --overwrite on ranks of which some are lost, before its first commit or after it."""
    text = JOB.replace("100000", "20").replace("stopping:Stopping", "minibatch")

    def run(size, left, committed):
        really = runner.run

        def fail(plan, ranks, output, repeats, resume, **how):
            monkeypatch.setattr(
                runner, "run", lambda plan, ranks, *more, **how: really(plan, SerialCommunicator(), *more, **how)
            )
            if committed:
                really(plan, SerialCommunicator(), output, range(0))
            raise Lost

        monkeypatch.setattr(runner, "run", fail)
        elastic.run(planned(text, "repeats=2"), Losing(size, left), folder / "run.h5", range(2), "overwrite")

    runner.run(planned(text, "seed=3"), SerialCommunicator(), folder / "run.h5", range(1))
    return run


@pytest.mark.parametrize(("committed", "resumed", "where"), [(False, 0, "start"), (True, 1, "last checkpoint")])
def test_an_older_file_is_not_taken_for_what_this_job_wrote(committed, resumed, where, folder, losing, capsys):
    """--overwrite: until the first commit, the output is the file that it replaces."""
    first = "runs/the run/repeats/0000"
    older = digests(folder / "run.h5")[first]
    losing(2, [1], committed)
    trajectory = Trajectory(folder / "run.h5")
    assert (trajectory.overrides, len(trajectory.resumed)) == (["repeats=2"], resumed)
    assert len(trajectory.runs[0].finished()) == 2
    assert digests(folder / "run.h5")[first] != older
    assert capsys.readouterr().err == f"mpisign: rank 0 of 2 is lost; the other goes on from the {where}\n"


def test_all_ranks_that_are_lost_are_named(losing, capsys):
    losing(5, [2, 3, 4], True)
    expected = "mpisign: ranks 0, 1 of 5 are lost; the other 3 go on from the last checkpoint\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("committed", "then"),
    [(True, "--resume goes on from the last checkpoint"), (False, "the same command starts again")],
)
def test_without_workers_it_ends_in_one_line(committed, then, losing, capsys):
    with pytest.raises(SystemExit) as ended:
        losing(5, [0], committed)
    assert ended.value.code == 1
    expected = f"mpisign: ranks 1, 2, 3, 4 of 5 are lost; no worker of 'the run' is left; ending; {then}\n"
    assert capsys.readouterr().err == expected


def test_a_rank_that_cannot_meet_the_others_says_so(monkeypatch, capsys):
    """Open MPI's Shrink hangs now and then on several machines."""
    ended, statuses = threading.Event(), []

    class Stuck:
        def Is_revoked(self):
            return True

        def Shrink(self):
            assert ended.wait(10)
            raise Lost

    monkeypatch.setattr(mpi, "_AGREEING", 0.5)
    monkeypatch.setattr(os, "_exit", lambda status: (statuses.append(status), ended.set()))
    rank = object.__new__(mpi.MPICommunicator)
    rank.rank, rank._communicator, rank._mpi = 2, Stuck(), SimpleNamespace(Intracomm=None)
    with pytest.raises(Lost):
        rank.survivors()
    assert statuses == [1]
    said = "mpisign: rank 2 did not meet the others that are left in 0.5 seconds; ending"
    assert capsys.readouterr().err == f"{said}; --resume goes on from the last checkpoint\n"


def test_a_signal_between_two_runs_of_one_job_is_not_lost(monkeypatch):
    """While the ranks that are left find each other, nobody looks."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    monkeypatch.setattr(StopSignals, "outlast", True)
    try:
        with StopSignals() as first:
            assert first.number == 0
        os.kill(os.getpid(), signal.SIGUSR1)
        with StopSignals() as second:
            assert second.number == signal.SIGUSR1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    with StopSignals() as third:
        assert third.number == 0


def test_a_device_is_no_output(tmp_path):
    """It would be replaced by the file, as root."""
    os.mkfifo(tmp_path / "pipe")
    for output in (Path("/dev/null"), tmp_path / "pipe"):
        with pytest.raises(InputError, match="expected a file name for the output, but this is a device"):
            check_output(output, overwrite=True)


def test_an_exchange_is_tried_for_a_twentieth_of_a_second(monkeypatch):
    """However short a round is: fewer would be less than one slice of a core's time."""

    class Clocked:
        rounds = 0

        def aggregate(self):
            self.rounds += 1

        def __enter__(self):
            return self

        def __exit__(self, *reason):
            pass

    server = Clocked()
    monkeypatch.setattr(autotune.time, "perf_counter", lambda: 13e-6 * server.rounds)
    assert autotune._trial(SerialCommunicator(), server) == pytest.approx(13e-6)
    assert server.rounds > 2 * 0.05 / 13e-6


def test_the_first_rank_of_a_node_keeps_no_file_open():
    """The page of the ranks is the watchdog's."""
    if not hasattr(os, "pidfd_open"):
        pytest.skip("no pidfd in this system, and so no witness")

    class Two(MockCommunicator):
        def processes(self):
            return [os.getpid(), os.getpid()]

    before = os.listdir("/proc/self/fd")
    with Watch(Two(0, 2)) as watch:
        assert watch._watched
    del watch
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_kernel_without_pidfd_has_no_witness(monkeypatch):
    """Python has the function, and the kernel, before Linux 5.3, says ENOSYS."""

    class Two(MockCommunicator):
        def processes(self):
            return [os.getpid(), os.getpid()]

    def refused(process, flags=0):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "pidfd_open", refused, raising=False)
    with Watch(Two(0, 2)) as watch:
        assert not watch._watched


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("é" * 300, f"in '{'é' * 254}, past iteration k = 7; --resume goes on from the last checkpoint"),
        ("", "before the first repeat; the same command starts again"),
    ],
)
def test_the_witness_says_where_as_far_as_it_knows(label, expected, capfd):
    """What the ranks do may be cut inside of a letter, or not be known yet."""
    with Watch(SerialCommunicator()) as watch:
        if label:
            watch.enter(f"in {label!r}, repeat 0")
        watchdog_process._say((2, 345), 7, watch._page[watchdog_process.LINE :])
    said = capfd.readouterr().err
    assert said == f"mpisign: rank 2 (process 345 on {platform.node()}) is gone, {expected}\n"
