"""Repeats by several processes: the file of one process, whoever is stopped or killed, and whoever goes on with it."""

import os
import re
import shutil
import signal
import time

import pytest

import mpisign
from digests import digests, records
from launch import HELPERS, ROOT, mpirun
from launch import mpisign as command
from mpisign.cli.main import main
from mpisign.comm.communicator import BorrowingCommunicator, LendingCommunicator
from mpisign.engine.planning import plan
from mpisign.storage.trajectory import Trajectory
from mpisign.tools.dryrun import commands

JOB = """
seed = 3
repeats = 3
iterations = 60
problem = { kind = "logistic", data = "wine" }
oracle = { kind = "stopping:Stopping", batch = 2 }
log = { every = 4, iterates = true }
[[runs]]
label = "momentum"
method = "signum"
workers = 3
step = { kind = "constant", alpha = 0.01 }
[[runs]]
label = "errors"
method = "ef-sign"
workers = 2
step = { kind = "constant", alpha = 0.01 }
[[runs]]
label = "diverges"
method = "gd"
iterations = 40
step = { kind = "constant", alpha = 1e300 }
"""

TEAMS = "--teams: expected teams of the same size, each of at least a server and a worker"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The job, and its file by one process."""
    folder = tmp_path_factory.mktemp("parallel")
    (folder / "job.toml").write_text(JOB)
    assert main(["run", str(folder / "job.toml"), "-o", str(folder / "whole.h5")]) == 0
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mpisign.progress._LOG_SECONDS", 1e9)  # on a busy machine a line would come between
    return tmp_path


def run(*options):
    return main(["run", "job.toml", "-o", "out.h5", *options])


def ending(monkeypatch, end, after=70):
    """Ask number `after` of worker 1, in each process, comes to this end: in its first repeat of 60, or its second."""
    for name, value in {"STOPPING": end, "STOPPING_AFTER": str(after), "STOPPING_WORKER": "1"}.items():
        monkeypatch.setenv(name, value)


def untouched(monkeypatch):
    monkeypatch.delenv("STOPPING_AFTER")


def test_several_processes_write_the_file_of_one(folder, capsys):
    assert run("--jobs", "3") == 0
    said = capsys.readouterr()
    assert digests("out.h5") == digests("whole.h5")
    assert said.out == "'diverges': 3 of 3 repeats diverged, the first at k = 2\nwrote out.h5\n"
    assert sorted(os.listdir()) == ["job.toml", "out.h5", "whole.h5"]
    assert run("--jobs", "3") == 2
    assert "out.h5: this output exists already; give --resume" in capsys.readouterr().err
    assert run("--jobs", "3", "--resume") == 0  # nothing is left: no process is started
    assert digests("out.h5") == digests("whole.h5")


def test_a_stop_is_for_all_and_another_number_goes_on(folder, monkeypatch, capsys):
    """The first one is sent to another process, the second to this one."""
    ending(monkeypatch, "stop", 20)
    assert run("--jobs", "2", "--resume") == 75
    assert capsys.readouterr().err == "mpisign: stopped by SIGUSR1; --resume goes on from here\n"
    running = [repeat for each in Trajectory("out.h5") for repeat in each.repeats if repeat.status == "running"]
    assert max(len(repeat.columns["k"]) for repeat in running) > 1  # a state is kept: nothing has ended yet
    before = records("out.h5")
    ending(monkeypatch, "stop the parent", 70)
    assert run("--jobs", "3", "--resume") == 75
    assert capsys.readouterr().err == "mpisign: stopped by SIGTERM; --resume goes on from here\n"
    assert before < records("out.h5")
    untouched(monkeypatch)
    assert run("--resume") == 0
    assert digests("out.h5") == digests("whole.h5")


def test_the_states_of_the_others_are_kept_when_a_process_is_lost(folder, monkeypatch, capsys):
    ending(monkeypatch, "kill")
    assert run("--jobs", "2") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(r"mpisign: in '\w+', repeat \d", line)  # whichever of them came so far
    assert " was killed by SIGKILL; --resume goes on from the last checkpoint" in line
    assert records("out.h5") > 0
    untouched(monkeypatch)
    assert run("--resume") == 0
    assert digests("out.h5") == digests("whole.h5")


def test_an_exception_is_told_with_its_place(folder, monkeypatch, capfd):
    ending(monkeypatch, "raise")
    assert run("--jobs", "2") == 1
    said = capfd.readouterr().err
    assert "RuntimeError: the last time" in said
    last = r"mpisign: one of 2 processes has failed: in '\w+', repeat \d, iteration k = \d+: the last time; "
    assert re.fullmatch(rf"{last}--resume goes on from the last checkpoint", said.splitlines()[-1])


def test_ctrl_c_ends_all_with_one_line(folder, monkeypatch, capsys):
    ending(monkeypatch, "interrupt the parent")
    assert run("--jobs", "2") == 130
    said = capsys.readouterr().err
    assert said == "mpisign: interrupted; --resume goes on from the last checkpoint\n"
    assert not os.path.exists("out.h5.part")
    Trajectory("out.h5")  # whole


def test_nobody_is_left_behind_by_a_parent_that_is_killed(folder):
    ends = {"STOPPING": "kill the parent", "STOPPING_AFTER": "70", "STOPPING_WORKER": "1", "OURS": str(folder)}
    done = command("run", "job.toml", "-o", "out.h5", "--jobs", "2", cwd=folder, PYTHONPATH=HELPERS, **ends, real=True)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGKILL, "", "")
    late = time.monotonic() + 30
    while processes_of(folder):
        assert time.monotonic() < late
        time.sleep(0.05)
    Trajectory("out.h5")
    assert run("--resume") == 0
    assert digests("out.h5") == digests("whole.h5")


def processes_of(folder):
    """The processes whose environment names the folder."""
    found = []
    for process in os.listdir("/proc"):
        try:
            with open(f"/proc/{process}/environ", "rb") as file:
                found += [process] if f"OURS={folder}\0".encode() in file.read() else []
        except OSError:
            continue  # no process, or it has ended
    return found


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--jobs", "0"], "argument --jobs: expected a whole number of at least 1, or auto, got '0'"),
        (["--jobs", "all"], "argument --jobs: expected a whole number of at least 1, or auto, got 'all'"),
        (["--jobs", "2", "--set", "runs.1.workers=0"], "runs.1.workers"),
        (["--jobs", "2", "--repeats", "2:9"], "--repeats: expected A:B with 0 <= A < B <= 3, got '2:9'"),
        (["--jobs", "2", "--on-failure", "continue"], "--on-failure: cannot continue: there is one process"),
        (["--teams", "2"], f"{TEAMS}, got 2 of 1 rank"),
        (["--teams", "2", "--on-failure", "continue"], "--teams: expected no --on-failure continue"),
    ],
)
def test_bad_input_is_told_once(options, said, folder, capfd):
    assert run(*options) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert said in error
    assert not os.path.exists("out.h5")


def leg(folder, mpi, ranks, end, *options):
    """Go on with the file on so many ranks, whose worker 1 comes to this end at its ask number 20."""
    ends = {"STOPPING": end, "STOPPING_AFTER": "20", "STOPPING_WORKER": "1"} if end else {}
    run = ["run", "job.toml", "-o", "out.h5", "--resume", *options]
    return mpirun(mpi, ranks, *run, cwd=folder, PYTHONPATH=HELPERS, **ends, real=end != "")


@pytest.mark.ranks
def test_a_relay_of_teams(folder):
    """Two teams lose a rank; two hear a signal; then it is one of three ranks, and two teams again."""
    done = leg(folder, "mpich", 4, "", "--teams", "3")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"mpisign: {TEAMS}, got 3 of 4 ranks\n")
    done = leg(folder, "mpich", 4, "kill", "--teams", "2")
    assert done.returncode not in (0, 2, 75)
    assert re.search(r"mpisign: rank [13] \(process .* is gone, in '\w+', repeat \d, past", done.stderr)
    done = leg(folder, "mpich", 4, "stop", "--teams", "2")
    assert done.returncode == 75, done.stderr
    assert done.stderr.count("mpisign: stopped by SIGUSR1; --resume goes on from here") == 1
    running = [repeat for each in Trajectory("out.h5") for repeat in each.repeats if repeat.status == "running"]
    assert len(running) == 2  # one of each team
    assert max(len(repeat.columns["k"]) for repeat in running) > 1
    before = records("out.h5")
    assert leg(folder, "mpich", 3, "stop").returncode == 75
    assert before < records("out.h5")
    done = leg(folder, "mpich", 4, "", "--teams", "2")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "'diverges': 3 of 3 repeats diverged, the first at k = 2\nwrote out.h5\n"
    assert digests("out.h5") == digests("whole.h5")


@pytest.mark.ranks
def test_teams_by_open_mpi_and_the_exchange_of_a_node(folder):
    done = leg(folder, "openmpi", 4, "", "--teams", "2", "--exchange", "node")
    assert done.returncode == 0, done.stderr
    assert digests("out.h5") == digests("whole.h5")


def test_a_dry_run_says_what_several_processes_take_and_passes_them_on_to_no_rank(folder, capsys, monkeypatch):
    monkeypatch.setattr(commands, "SCRIPT", str(ROOT / commands.SCRIPT))
    monkeypatch.setattr(commands.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert run("--jobs", "2", "--dry-run") == 0
    *lines, mpirun, sbatch = capsys.readouterr().out.splitlines()
    assert sum("--jobs 2" in line for line in lines) == 2  # memory and time
    assert "--jobs" not in mpirun + sbatch
    assert run("--teams", "2", "--dry-run") == 0
    *_, mpirun, sbatch = capsys.readouterr().out.splitlines()
    assert mpirun.startswith("mpirun -n 8 ")  # twice M + 1
    assert "--ntasks=8 " in sbatch
    assert (mpirun[-10:], sbatch[-10:]) == (" --teams 2", " --teams 2")


def test_from_python_some_repeats_in_the_place_of_a_file(folder):
    shutil.copy("whole.h5", "out.h5")
    experiment = mpisign.load_experiment("job.toml")
    found = mpisign.run(experiment, "out.h5", mode="overwrite", repeats=range(1, 3), jobs=2, progress=False)
    assert digests("out.h5") == {name: sha for name, sha in digests("whole.h5").items() if "/0000" not in name}
    assert found["momentum"].x.tobytes() == mpisign.load("whole.h5")["momentum"].x[1:].tobytes()


def test_what_other_processes_would_not_find_is_refused(folder):
    experiment = mpisign.load_experiment("job.toml")
    runs = [mpisign.Run(method=mpisign.GD(), step=mpisign.Constant(alpha=0.1))]
    own = mpisign.Experiment(problem={"kind": "__main__:Own"}, runs=runs, iterations=2)
    for experiment_, jobs, said in ((own, 2, "jobs: expected 1: "), (experiment, 0, "at least 1, got 0")):
        with pytest.raises(mpisign.InputError, match=said):
            mpisign.run(experiment_, jobs=jobs)


def test_data_are_in_memory_once(folder):
    """A process that borrows them sees what the lender writes later."""
    settings = mpisign.load_experiment("job.toml").settings
    with LendingCommunicator() as lender:
        ours = plan(settings, lender).problem
        (lent,) = lender.lent
        theirs = plan(settings, BorrowingCommunicator([lent])).problem
        assert theirs.data_sha256() == ours.data_sha256()
        ours.rows.arrays["rows"].flat[0] = 5.0
        assert theirs.rows.arrays["rows"].flat[0] == 5.0
