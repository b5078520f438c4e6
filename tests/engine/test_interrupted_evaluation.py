"""A stop in the middle of an evaluation: it is obeyed between two segments, and the file is that of no stop at all."""

import h5py
import pytest

import patient
from digests import digests
from launch import HELPERS, mpirun, mpisign
from mpisign.cli.main import main
from mpisign.storage.trajectory import Trajectory
from mpisign.storage.writer import TrajectoryWriter

JOB = """
iterations = 204
repeats = 2
problem = { kind = "patient:patient", data = "breast-cancer" }
oracle = { kind = "minibatch", batch = 4 }
log = { every = 2, iterates = true }
"""
RUN = """
[[runs]]
method = "{method}"
workers = 3
step = {{ kind = "constant", alpha = 0.01 }}
"""
METHODS = ("scaled-sign", "ef-sign-shifted")
PARTS = 16
"""Calls of `part` that a block takes; a repeat of 103 records has two blocks, of 64."""


def written(folder, *methods):
    job = folder / "job.toml"
    job.write_text(JOB + "".join(RUN.format(method=method) for method in methods))
    return job


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Jobs and their files, written without a stop."""
    folder = tmp_path_factory.mktemp("interrupted")
    for name, methods in (("all", METHODS), ("one", METHODS[1:2])):
        (folder / name).mkdir()
        assert main(["run", str(written(folder / name, *methods)), "-o", str(folder / name / "whole.h5")]) == 0
    return folder


def resumed(job, output, monkeypatch, after=0, threads=1):
    """Run or go on; the status, and how many parts were computed."""
    patient.calls.clear()
    monkeypatch.setenv("MPISIGN_THREADS", str(threads))
    monkeypatch.setenv("PATIENT_AFTER", str(after))
    return main(["run", str(job), "-o", str(output), "--resume"]), len(patient.calls)


def pending(output):
    """How many records wait in each state, and how many are written there."""
    found = []
    with h5py.File(output) as file:
        file.visititems(lambda name, item: found.append((name, item)) if name.endswith("/state/pending") else None)
        return [(len(item["pending_k"]), int(file[name].parent.attrs["records"])) for name, item in found]


@pytest.mark.parametrize(
    ("after", "threads", "waiting"),
    [
        (1, 1, (64, 0)),
        (7, 2, (64, 0)),
        (12, 3, (64, 0)),
        (PARTS + 1, 1, (38, 64)),  # the last record is made again
        (2 * PARTS - 4, 2, (38, 64)),
        (2 * PARTS + 3, 1, (64, 0)),  # of the second repeat
    ],
)
def test_a_signal_between_two_parts(after, threads, waiting, folder, tmp_path, monkeypatch, capsys):
    job, output = folder / "one" / "job.toml", tmp_path / "out.h5"
    status, parts = resumed(job, output, monkeypatch, after, threads)
    assert (status, capsys.readouterr().err) == (75, "mpisign: stopped by SIGUSR1; --resume goes on from here\n")
    assert after <= parts <= after + threads
    assert pending(output) == [waiting]
    assert len(Trajectory(output).runs[0].repeats[-1].columns["k"]) == waiting[1]
    assert resumed(job, output, monkeypatch) == (0, 4 * PARTS - parts // PARTS * PARTS)
    assert pending(output) == []
    assert digests(output) == digests(folder / "one" / "whole.h5")


def test_stopped_in_every_evaluation_by_any_number_of_threads(folder, tmp_path, monkeypatch):
    """Each job comes a little further than one block."""
    job, output, stops = folder / "all" / "job.toml", tmp_path / "out.h5", 0
    while True:
        after = PARTS + 1 + 5 * stops % 15
        status, parts = resumed(job, output, monkeypatch, after, 1 + stops % 3)
        if status == 0:
            break
        assert status == 75
        assert parts <= after + 3
        stops += 1
    assert stops == 4 * len(METHODS) - 1
    assert digests(output) == digests(folder / "all" / "whole.h5")


def test_a_job_that_is_stopped_at_once_has_lost_nothing(folder, tmp_path, monkeypatch):
    """Before a first part is done, again and again: its records wait in the state."""
    job, output = folder / "one" / "job.toml", tmp_path / "out.h5"
    for after in (3, 1, 2, 1):
        status, _ = resumed(job, output, monkeypatch, after)
        assert (status, pending(output)) == (75, [(64, 0)])
    assert resumed(job, output, monkeypatch)[0] == 0
    assert digests(output) == digests(folder / "one" / "whole.h5")


@pytest.mark.parametrize("after", [2 * PARTS + 3, 6 * PARTS + 2])
def test_a_signal_while_a_due_state_is_saved_and_then_it_diverges(after, tmp_path, monkeypatch):
    """At k = 7, after saves at 1, 3 and 7: the records that waited were lost, and the repeat had ended."""
    job, output, whole = (tmp_path / name for name in ("job.toml", "out.h5", "whole.h5"))
    job.write_text((JOB + RUN.format(method="gd")).replace("= 0.01", "= 1e50"))
    assert main(["run", str(job), "-o", str(whole)]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(TrajectoryWriter, "commit_due", lambda writer: True)
        assert resumed(job, output, monkeypatch, after)[0] == 75
    assert resumed(job, output, monkeypatch)[0] == 0
    assert digests(output) == digests(whole)


def test_with_clocks_the_times_go_on(folder, tmp_path, monkeypatch):
    job, output = tmp_path / "job.toml", tmp_path / "out.h5"
    job.write_text((folder / "one" / "job.toml").read_text().replace("iterates", "clocks = true, iterates"))
    assert resumed(job, output, monkeypatch, 5)[0] == 75
    assert resumed(job, output, monkeypatch)[0] == 0
    assert main(["run", str(job), "-o", str(tmp_path / "whole.h5")]) == 0
    found, whole = (
        {k: v for k, v in digests(each).items() if "clock" not in k and "slowest" not in k}
        for each in (output, tmp_path / "whole.h5")
    )
    assert found == whole
    for repeat in Trajectory(output).runs[0].repeats:
        assert all(
            (repeat.columns[f"clock_{name}"][1:] >= repeat.columns[f"clock_{name}"][:-1]).all()
            for name in ("gradient", "exchange", "step")
        )


def test_xarray_reads_a_file_with_records_that_wait(folder, tmp_path, monkeypatch):
    xarray = pytest.importorskip("xarray")
    output = tmp_path / "out.h5"
    assert resumed(folder / "one" / "job.toml", output, monkeypatch, 5)[0] == 75
    assert resumed(folder / "one" / "job.toml", output, monkeypatch, 2)[0] == 75  # what waits is replaced
    with xarray.open_datatree(output, engine="h5netcdf") as tree:
        (state,) = (node for node in tree.subtree if node.path.endswith("/state/pending"))
        assert state["points"].shape == (64, 30)
        assert state["signs"].dtype == "int8"


@pytest.mark.ranks
def test_on_ranks_and_by_processes_side_by_side(folder, tmp_path, monkeypatch):
    """Three ranks stop when one of them has the signal, then two processes of --jobs; one process ends it."""
    at, output = {"cwd": folder / "one", "PYTHONPATH": HELPERS}, tmp_path / "out.h5"
    run = ("run", "job.toml", "-o", output, "--resume")
    stopped = mpirun("mpich", 3, *run, **at, PATIENT_AFTER="2", PATIENT_RANK="1")
    assert (stopped.returncode, pending(output)) == (75, [(64, 0)]), stopped.stderr
    stopped = mpisign(*run, "--jobs", "2", **at, PATIENT_AFTER=str(PARTS + 4))
    assert stopped.returncode == 75, stopped.stderr
    assert (38, 64) in pending(output)
    assert resumed(folder / "one" / "job.toml", output, monkeypatch)[0] == 0
    assert digests(output) == digests(folder / "one" / "whole.h5")
