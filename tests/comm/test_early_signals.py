"""A signal before the first iteration, wherever it finds the ranks: all end at once, with one line."""

import os

import pytest

from launch import ROOT, mpirun, mpisign
from mpisign.comm import watchdog_process
from mpisign.comm.communicator import SerialCommunicator
from mpisign.comm.watchdog import Watch

SAID = "mpisign: stopped by {}; no iteration was run yet; the same command starts again\n"

JOB = """
name = "early"
seed = 1
repeats = 1
iterations = 5

[problem]
kind = "separable"
eigenvalues = [1.0, 2.0]

[start]
kind = "early:Start"

[[runs]]
method = "gd"
workers = 2
step = { kind = "constant", alpha = 0.1 }
"""

EARLY = """
import os, signal, time
from mpisign.process_rank import rank
if rank() in ({ranks}):
    os.kill(os.getpid(), signal.{signal})
time.sleep(100)
"""
"""A module that takes its time, as data that are read do; Python's own handlers do not end it."""


def at(folder):
    return {"cwd": folder, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


def early(folder, signal, ranks="0,", module="early"):
    (folder / "job.toml").write_text(JOB)
    (folder / f"{module}.py").write_text(EARLY.format(signal=signal, ranks=ranks))


@pytest.mark.parametrize(("signal", "module"), [("SIGTERM", "numpy"), ("SIGUSR1", "early")])
def test_it_is_heard_during_slow_imports_and_while_the_job_is_planned(signal, module, tmp_path):
    early(tmp_path, signal, module=module)
    done = mpisign("run", "job.toml", "-o", "run.h5", **at(tmp_path), real=True)
    assert (done.returncode, done.stdout, done.stderr) == (75, "", SAID.format(signal))
    assert not (tmp_path / "run.h5").exists()


@pytest.mark.ranks
@pytest.mark.parametrize(("mpi", "ranks"), [("mpich", "2,"), ("openmpi", "0, 1, 2"), ("openmpi", "0,")])
def test_any_rank_s_ends_all_ranks_with_one_line(mpi, ranks, tmp_path):
    """The others wait in MPI, or work; every rank may have it, as a launcher passes it on."""
    early(tmp_path, "SIGTERM", ranks)
    done = mpirun(mpi, 3, "run", "job.toml", "-o", "run.h5", **at(tmp_path), real=True)
    assert done.returncode == 75, done.stderr
    assert done.stderr.count("mpisign: ") == done.stderr.count(SAID.format("SIGTERM")) == 1


def test_who_ends_the_ranks_of_a_machine_sees_that_none_is_missed():
    """Its own line is the one that is printed, not that of a watchdog too."""
    watch = Watch(SerialCommunicator())
    watch.dismiss()
    assert watch._line[0] == watchdog_process.LEFT
