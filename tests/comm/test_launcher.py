"""Ranks are started from Python as the project's scripts start them."""

import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from launch import call, programs
from mpisign.cli.main import main
from mpisign.comm import launcher, startup
from mpisign.config.validation import InputError

RANK = "from mpi4py import MPI; import sys; sys.stdout.write(f'{MPI.COMM_WORLD.rank} of {MPI.COMM_WORLD.size}\\n'); "


def test_what_open_mpi_needs_is_added(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    added = launcher.environment(launcher.cores() + 1, {})
    assert added == launcher.ONE_MACHINE | launcher.AS_ROOT | launcher.MORE_THAN_CORES
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert launcher.environment(1, {}) == {}
    several = {"SLURM_JOB_NUM_NODES": "2"}
    assert launcher.environment(launcher.cores(), several) == several
    mine = {"OMPI_MCA_btl": "self,sm", "OMPI_MCA_osc": "sm"}
    assert launcher.environment(launcher.cores(), mine) == mine


def test_only_a_rank_forgets_what_its_launcher_gave_it(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    chosen = {"OMPI_MCA_btl": "self", "PATH": "/bin"}
    assert launcher.environment(1, chosen) == chosen
    for name in ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK"):
        assert launcher.environment(1, chosen | {name: "0", "MPI_LOCALRANKID": "0"}) == {"PATH": "/bin"}


def test_no_mpiexec_is_bad_input(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="launcher: expected mpiexec"):
        launcher.mpiexec()
    (tmp_path / "mpiexec").write_text("#!/bin/sh\n")
    (tmp_path / "mpiexec").chmod(0o755)
    assert launcher.mpiexec() == tmp_path / "mpiexec"


def test_launch_becomes_the_launcher_as_the_scripts_set_it(monkeypatch):
    became = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(launcher, "mpiexec", lambda: "/bin/mpiexec")
    monkeypatch.setattr(os, "execve", lambda *what: became.append(what))
    assert main(["launch", "-n", "400", "python", "-m", "mpi4py", "-n", "7"]) == 0
    ((program, line, variables),) = became
    assert (program, line) == ("/bin/mpiexec", ["/bin/mpiexec", "-n", "400", "python", "-m", "mpi4py", "-n", "7"])
    assert variables.items() >= (launcher.AS_ROOT | launcher.MORE_THAN_CORES).items()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-n", "0", "true"], "-n: expected at least one rank, got 0"),
        (["-n", "2"], "launch: expected a command for the ranks, such as python -m mpi4py -m mpisign run JOB.toml ..."),
    ],
)
def test_launch_refuses(words, said, capsys):
    assert main(["launch", *words]) == 2
    assert capsys.readouterr().err == f"mpisign: {said}\n"


def test_a_plain_launch_sets_nothing(monkeypatch, tmp_path):
    """What doctor says of the user's own mpirun would not be true."""
    fake = tmp_path / "mpiexec"
    fake.write_text("#!/bin/sh\nenv\n")
    fake.chmod(0o755)
    monkeypatch.setattr(launcher, "mpiexec", lambda: fake)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name in launcher.AS_ROOT:
        monkeypatch.delenv(name, raising=False)
    plain, scripted = (launcher.launch(1, [], timeout=60, scripted=scripted).stdout for scripted in (False, True))
    assert "OMPI_ALLOW_RUN_AS_ROOT" not in plain
    assert "OMPI_ALLOW_RUN_AS_ROOT" in scripted


@pytest.mark.parametrize(("whole", "calls"), [(True, ["agree", "Finalize"]), (False, [])])
def test_mpi_is_not_ended_where_a_rank_was_lost(whole, calls, monkeypatch):
    """Its Finalize could wait for that rank."""
    done = []
    ranks = SimpleNamespace(whole=whole, sync_errors=lambda complaint: done.append("agree"))
    monkeypatch.setattr(startup, "connect", lambda: ranks)
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", SimpleNamespace(Finalize=lambda: done.append("Finalize")))
    startup.leave()
    assert done == calls


@pytest.mark.ranks
def test_two_ranks_meet():
    programs("mpich")
    done = launcher.launch(2, [sys.executable, "-c", RANK + "sys.exit(3)"], timeout=60)
    assert sorted(done.stdout.splitlines()) == ["0 of 2", "1 of 2"]
    assert done.returncode == 3


@pytest.mark.ranks
def test_what_takes_too_long_is_ended():
    programs("mpich")
    with pytest.raises(subprocess.TimeoutExpired):
        launcher.launch(2, [sys.executable, "-c", "import time; time.sleep(60)"], timeout=1)


@pytest.mark.skipif(shutil.which("taskset") is None, reason="no taskset")
def test_the_scripts_count_the_cores_that_they_may_use():
    """Two ranks in a shell that is bound to one core, of however many, take turns on it, as `launch` has them do."""
    core = min(os.sched_getaffinity(0))
    code = "unset ${!PRTE_*}; . jobs/environment.sh; BIN=/nowhere; launcher $0; echo ${!PRTE_*}"
    for ranks, added in ((1, ""), (2, "PRTE_MCA_rmaps_default_mapping_policy")):
        done = call(["taskset", "-c", core, "bash", "-c", code, ranks], OMP_NUM_THREADS="64")
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{added}\n", "")
