"""The trajectory file: its schema, who can open it, and what a cut-off run leaves."""

import hashlib
import json
import shlex
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import xarray

from alone import planned, run_alone
from launch import ROOT, environment
from mpisign.comm.communicator import SerialCommunicator
from mpisign.config.validation import InputError
from mpisign.engine.planning import run_settings
from mpisign.storage import writer
from mpisign.storage.provenance import provenance, sites
from mpisign.storage.trajectory import COLUMNS, SCHEMA, Trajectory

JOB = """
    name = "small"
    seed = 3
    repeats = 2
    iterations = 40
    problem = { kind = "logistic", data = "wine" }
    oracle = { kind = "minibatch", batch = 2 }
    log = { points = 9, iterates = true }
    [[runs]]
    label = "one"
    method = "scaled-sign"
    workers = 3
    step = { kind = "constant", alpha = 0.1 }
    [[runs]]
    label = "another"
    method = "gd"
    step = { kind = "harmonic", c = "6n", k0 = 1000 }
    """


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return run_alone(tmp_path_factory.mktemp("trajectory"), JOB)


def test_schema(path):
    with h5py.File(path) as file:
        assert file.attrs["schema"] == SCHEMA == "mpisign-trajectory/1"
        assert 'name = "small"' in file.attrs["experiment"]
        assert list(file["runs"]) == ["one", "another"]
        repeat = file["runs/one/repeats/0001"]
        assert repeat.attrs["status"] == "complete"
        assert {*COLUMNS, "x"} <= set(repeat)
        for name, (dtype, unit, description) in COLUMNS.items():
            assert repeat[name].dtype == dtype
            assert repeat[name].shape == repeat["k"].shape
            assert repeat[name].attrs["units"] == unit in {"1", "s", "bit"}
            assert repeat[name].attrs["description"] == description
        assert (
            file["runs"][next(iter(file["runs"]))]["f_star"][()]
            == file["runs"][next(iter(file["runs"]))].attrs["f_star"]
        )
        last = np.ascontiguousarray(repeat["x"][-1])
        assert repeat.attrs["sha256"] == hashlib.sha256(last.tobytes()).hexdigest()
        assert (repeat["k"][0], repeat["k"][-1]) == (0, 40)


def test_provenance_is_enough_to_run_it_again(path):
    with h5py.File(path) as file:
        origin = json.loads(file.attrs["provenance"])
        assert json.loads(file.attrs["overrides"]) == []
    assert {"mpisign", "numpy", "mpi", "ranks", "hosts", "command", "git", "date", "data_sha256"} <= set(origin)
    assert len(origin["data_sha256"]) == 64
    assert origin["ranks"] == "1"


def test_the_command_can_be_typed_again(monkeypatch):
    typed = ["mpisign", "run", "job.toml", "--set", "runs.0.label=a 'b' $c"]
    monkeypatch.setattr(sys, "argv", typed)
    assert shlex.split(provenance(SerialCommunicator(), sites(SerialCommunicator()))["command"]) == typed


def test_every_setting_and_constant_of_a_run_is_there(path):
    attributes = Trajectory(path).runs[1].attributes
    expected = {
        "method": "gd",
        "workers": 1,
        "iterations": 40,
        "seed": 3,
        "dimension": 13,
        "samples": 178,
        "problem.kind": "logistic",
        "problem.data": "wine",
        "problem.scaling": "unit-rows",
        "problem.regulariser": "l2",
        "oracle.batch": 2,
        "oracle.sampling": "iid",
        "oracle.decoupled": False,
        "oracle.flipped": 0,
        "start.kind": "normal",
        "start.size": 1.0,
        "step.c": "6n",
        "step.k0": 1000,
        "L_known": "exact",
        "mu_known": "exact",
        "mu_at_minimum_known": "estimate",
    }
    assert expected.items() <= attributes.items()
    one = Trajectory(path).runs[0].attributes
    assert (one["method"], one["zeros"], one["scale"], one["workers"]) == ("scaled-sign", "exact", "l1", 3)
    assert 0 <= attributes["f_star_error"] < 1e-12 < attributes["f_star"]


def test_the_reader_gives_back_what_was_written(path):
    trajectory = Trajectory(path, iterates=True)
    assert [run.label for run in trajectory] == ["one", "another"]
    run = trajectory.runs[0]
    assert len(run.finished()) == len(run.repeats) == 2
    with h5py.File(path) as file:
        for number, repeat in enumerate(run.repeats):
            for name, values in repeat.columns.items():
                assert np.array_equal(values, file[f"runs/one/repeats/{number:04d}/{name}"], equal_nan=True)
            assert (run.gap(repeat) == repeat.columns["value"] - file["runs/one"].attrs["f_star"]).all()
            assert (run.gap(repeat) >= -run.attributes["f_star_error"]).all()
    assert "x" not in Trajectory(path).runs[0].repeats[0].columns


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        ('kind = "toy"', {"problem.frequencies": [1.0]}),
        ('kind = "logistic", data = "wine", scaling = "raw"', {"problem.scaling": "raw", "problem.regulariser": "l2"}),
        ('kind = "logistic", data = "wine", regulariser = "nonconvex"', {"problem.weight": 0.1}),
    ],
)
def test_what_a_job_leaves_out_is_there(problem, expected):
    full = JOB.replace('"minibatch", batch = 2', '"full"').replace('"6n"', "6")
    job = planned(full.replace('kind = "logistic", data = "wine"', problem))
    found = run_settings(job, job.runs[1])
    assert expected.items() <= found.items()
    assert "problem.weight" in expected or "problem.weight" not in found


def test_a_harmonic_step_has_its_k0():
    job = planned(JOB.replace(", k0 = 1000", ""))
    assert run_settings(job, job.runs[1])["step.k0"] == 1.0


def test_records_are_counted_as_they_are_taken(tmp_path, monkeypatch):
    """Each block once: the time that a repeat takes does not grow with what is not written yet."""
    looked, written = [], []

    class Column:
        nbytes = property(lambda self: looked.append(self) or 100)

    monkeypatch.setattr(writer, "_MOST_TAKEN", 1000)
    repeat = writer.RepeatWriter(None, None)
    monkeypatch.setattr(repeat, "_write", lambda: (written.append(len(repeat._blocks)), repeat._blocks.clear()))
    for _ in range(9):
        repeat.append({"k": Column()})
    assert (len(looked), written) == (9, [])
    for _ in range(2):
        repeat.append({"k": Column()})
    assert written == [11]


def test_xarray_opens_it_without_our_code(path):
    with xarray.open_dataset(path, engine="h5netcdf", group="runs/one/repeats/0000") as data:
        assert data["x"].dims == ("k", "coordinate")
        assert all(data[name].dims == ("k",) for name in set(COLUMNS) - {"k"})
        assert (data["value"].sel(k=40) == data["value"][-1]).all()
    with xarray.open_datatree(path, engine="h5netcdf") as tree:
        assert "/runs/another/repeats/0001" in tree.groups


def test_repeats_are_read_in_the_order_of_their_numbers(path, tmp_path):
    copy = tmp_path / "many.h5"
    with h5py.File(path) as source, h5py.File(copy, "w") as file:
        file.attrs.update(source.attrs)
        file.create_group("runs/one").attrs.update(source["runs/one"].attrs)
        for name, number in (("10000", 0), ("9999", 1)):
            source.copy(f"runs/one/repeats/{number:04d}", file, f"runs/one/repeats/{name}")
            file[f"runs/one/repeats/{name}"].attrs["sha256"] = name
    assert [repeat.sha256 for repeat in Trajectory(copy).runs[0].repeats] == ["9999", "10000"]


@pytest.mark.parametrize("keep", [0, 10, 2000, -100])
def test_a_truncated_file_is_refused_by_name(path, tmp_path, keep):
    cut = tmp_path / "cut.h5"
    cut.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"cut\.h5"):
        Trajectory(cut)


def test_a_killed_run_leaves_a_file_that_opens_to_its_last_flush(tmp_path):
    """SIGKILL in the middle of a long repeat: finished repeats are whole, the running one has a valid start."""
    job, output = tmp_path / "long.toml", tmp_path / "long.h5"
    job.write_text(
        JOB.replace("iterations = 40", "iterations = 10_000_000\nlog.every = 2_000", 1)
        .replace("log = { points = 9, iterates = true }", "")
        .replace('label = "one"', 'label = "one"\niterations = 500')
    )
    command = [sys.executable, "-m", "mpisign", "run", str(job), "-o", str(output)]
    running = subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=subprocess.DEVNULL)
    try:
        while running.poll() is None and not records(output):
            time.sleep(0.2)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    one, another = Trajectory(output).runs
    assert [repeat.status for repeat in one.repeats] == ["complete", "complete"]
    (repeat,) = another.repeats
    assert repeat.status == "running"
    assert len(repeat.columns["k"]) > 0
    for name in ("k", "value", "bits_up", "gradient_l1"):
        assert (np.isfinite(repeat.columns[name]) & (repeat.columns[name] >= 0)).all()


def records(path):
    """How many records of the long repeat are committed, read while the run is writing."""
    try:
        with h5py.File(path, locking=False) as file:
            return int(file["runs/another/repeats/0000"].attrs["records"])
    except (OSError, KeyError, RuntimeError):
        return 0
