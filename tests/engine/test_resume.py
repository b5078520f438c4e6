"""A run that was stopped goes on to the same file, bit for bit: every method, every exchange, any number of ranks."""

import os
import re
import signal

import h5py
import numpy as np
import pytest

import stopping
from digests import digests, policies, records
from launch import HELPERS, mpirun, mpisign
from mpisign.algorithms.methods import METHODS
from mpisign.cli.main import main
from mpisign.comm.communicator import SerialCommunicator
from mpisign.comm.shared_arrays import unshared
from mpisign.engine import planning
from mpisign.problems import PROBLEMS
from mpisign.problems.distributed_objective import Objective
from mpisign.problems.reference_solution import optimum
from mpisign.stop_signals import StopRequested, StopSignals
from mpisign.storage.trajectory import Trajectory

ITERATIONS = 40
RUNS = [(method, "exact") for method in METHODS] + [("sign", "coin"), ("scaled-sign", "plus")]


def job():
    """Every method, every zeros policy, odd and even M; raw counts with many zero pixels, so that zeros occur."""
    lines = [
        "seed = 7",
        f"iterations = {ITERATIONS}",
        'problem = { kind = "logistic", data = "digits", scaling = "raw" }',
        'oracle = { kind = "stopping:Stopping", batch = 2 }',
        "log = { every = 3, iterates = true }",
    ]
    for number, (method, zeros) in enumerate(RUNS):
        lines += ["[[runs]]", f'label = "{method} {zeros}"', f'method = "{method}"', f"workers = {2 + number % 2}"]
        lines += ['step = { kind = "constant", alpha = 1e-3 }']
        lines += [f'zeros = "{zeros}"'] if len(policies(method)) > 1 else []
    return "\n".join(lines)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    (folder / "job.toml").write_text(job())
    assert mpisign("run", "job.toml", "-o", "whole.h5", **at(folder)).returncode == 0
    return folder


def at(folder, end=None, after=0, worker=1):
    """How to call mpisign there; where `end` is given, worker 1's host comes to it when it is asked so many times."""
    ending = {} if end is None else {"STOPPING": end, "STOPPING_AFTER": str(after), "STOPPING_WORKER": str(worker)}
    return {"cwd": folder, "PYTHONPATH": HELPERS} | ending


def finished(path):
    return sum(repeat.status == "complete" for run in Trajectory(path) for repeat in run.repeats)


def test_alone_stopped_in_every_run(folder, monkeypatch, capsys):
    """One process; it is stopped again and again, at many different k."""
    stops, output = set(), folder / "alone.h5"
    for name, value in at(folder, "stop").items():
        monkeypatch.setenv(name, str(value))
    while True:
        monkeypatch.setattr(stopping, "asked", 0)
        monkeypatch.setenv("STOPPING_AFTER", str(2 + 7 * len(stops) % 17))
        status = main(["run", str(folder / "job.toml"), "-o", str(output), "--resume"])
        if status == 0:
            break
        assert (status, capsys.readouterr()) == (75, ("", "mpisign: stopped by SIGUSR1; --resume goes on from here\n"))
        (running,) = [repeat for run in Trajectory(output) for repeat in run.repeats if repeat.status == "running"]
        stops.add((finished(output), len(running.columns["k"])))
    assert {number for number, _ in stops} == set(range(len(RUNS)))
    assert digests(output) == digests(folder / "whole.h5")


@pytest.mark.ranks
def test_a_relay_of_ranks_exchanges_and_mpis(folder):
    """Each leg is stopped, and another number of ranks goes on by another exchange. The first leg of each MPI, and its
    end by a signal, is of real processes."""
    legs = [("mpich", 4, "server"), ("mpich", 2, "sharded"), ("openmpi", 3, "server"), ("mpich", 3, "node")]
    legs += [("openmpi", 4, "sharded"), (None, 1, "server"), ("mpich", 3, "sharded"), ("openmpi", 2, "node")]
    output, before = folder / "relay.h5", 0
    for i, (mpi, ranks, exchange) in enumerate(legs):
        run = ["run", "job.toml", "-o", output, "--resume", "--exchange", exchange]
        options = at(folder, "term", ITERATIONS * len(RUNS) // len(legs) - 35)
        done = mpirun(mpi, ranks, *run, **options, real=i in (0, 2)) if mpi else mpisign(*run, **options)
        assert done.returncode == 75, done.stderr
        assert done.stderr.count("mpisign: stopped by SIGTERM; --resume goes on from here") == 1
        assert before < (before := records(output))
    assert mpirun("mpich", 4, "run", "job.toml", "-o", output, "--resume", **at(folder)).returncode == 0
    assert digests(output) == digests(folder / "whole.h5")
    with h5py.File(output) as file:
        assert len(re.findall('"command"', file.attrs["resumed"])) == len(legs)


@pytest.mark.parametrize(("kept", "then"), [([], ""), (["-o", "again.h5"], ", once again.h5 is removed")])
def test_a_rerun_that_is_stopped_has_nothing_to_resume(kept, then, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, value in at(folder, "stop", 20).items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(stopping, "asked", 0)
    assert main(["rerun", str(folder / "whole.h5"), *kept]) == 75
    said = f"mpisign: stopped by SIGUSR1; the same command starts again{then}\n"
    assert capsys.readouterr() == ("", said)


def test_repeats_of_one_iteration_hear_a_signal(folder, tmp_path, monkeypatch, capsys):
    """It comes in the second repeat of worker 1's; what was finished is kept."""
    monkeypatch.chdir(tmp_path)
    for name, value in at(folder, "stop", 2).items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(stopping, "asked", 0)
    run = ["run", str(folder / "job.toml"), "-o", "run.h5", "--resume", "--set", "iterations=1"]
    assert main(run) == 75
    assert capsys.readouterr().err == "mpisign: stopped by SIGUSR1; --resume goes on from here\n"
    assert finished(tmp_path / "run.h5") == 2
    assert main(run) == 0
    assert finished(tmp_path / "run.h5") == len(RUNS)


def test_a_stop_before_the_first_iteration_has_nothing_to_resume():
    signals = StopSignals()
    signals.number = signal.SIGTERM
    problem = PROBLEMS.make({"kind": "logistic", "data": "wine"}, "problem", share=unshared)
    with pytest.raises(StopRequested) as stop:
        optimum(problem, SerialCommunicator(), signals)
    assert str(stop.value) == "stopped by SIGTERM; no iteration was run yet; the same command starts again"


def test_a_signal_while_the_run_is_planned_stops_it(folder, tmp_path, monkeypatch, capsys):
    """Reading data may take minutes; before, the signal killed the process, or was lost."""

    def plan(*arguments):
        os.kill(os.getpid(), signal.SIGUSR1)
        return really(*arguments)

    really = planning.plan
    monkeypatch.setattr(planning, "plan", plan)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", HELPERS)
    assert main(["run", str(folder / "job.toml"), "-o", "run.h5"]) == 75
    said = "mpisign: stopped by SIGUSR1; no iteration was run yet; the same command starts again\n"
    assert capsys.readouterr() == ("", said)
    assert not os.listdir(tmp_path)


def test_another_rank_s_signal_is_heard_while_f_star_is_solved():
    class Three(SerialCommunicator):
        size = 3

        def allgather_of(self, own, all_of_them):
            all_of_them[:] = [[0], [0], [int(signal.SIGTERM)]]
            return super().gather_of(all_of_them)

    problem = PROBLEMS.make({"kind": "logistic", "data": "wine"}, "problem", share=unshared)
    with pytest.raises(StopRequested) as stop:
        Objective(problem, Three()).value_and_gradient(np.zeros(problem.dimension))
    assert stop.value.signal == "SIGTERM"
