"""Slices become one file, and a file runs again: the same bits, or a word on what is not the same."""

import json
import re
import shutil

import h5py
import numpy as np
import pytest
import xarray

from digests import digests
from mpisign.cli.main import main
from mpisign.storage.checksum import unseal
from mpisign.storage.trajectory import Trajectory

JOB = """
seed = 5
repeats = 5
iterations = 20
problem = { kind = "logistic", data = "wine" }
oracle = { kind = "minibatch", batch = 2 }
log = { every = 5, iterates = true }
[[runs]]
label = "first run"
method = "signum"
workers = 3
step = { kind = "constant", alpha = 0.1 }
[[runs]]
label = "second"
method = "gd"
step = { kind = "constant", alpha = 1e300 }
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """whole.h5, and its slices 0:2, 2:3, 3:5; the second run diverges."""
    folder = tmp_path_factory.mktemp("merge")
    (folder / "job.toml").write_text(JOB)
    for name, more in {"whole": [], "a": ["0:2"], "b": ["2:3"], "c": ["3:5"], "overlap": ["1:3"]}.items():
        slice_ = ["--repeats", *more] if more else []
        assert main(["run", str(folder / "job.toml"), "-o", str(folder / f"{name}.h5"), *slice_]) == 0
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    for path in made.iterdir():
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys, *arguments):
    """What `mpisign merge out.h5 ARGUMENTS` says, in one line, and leaves no file behind."""
    status = main(["merge", "out.h5", *arguments])
    said = capsys.readouterr().err
    assert (status, said.count("\n")) == (2, 1)
    return said


@pytest.mark.parametrize("how", [[], ["--virtual"]])
def test_slices_in_any_order_are_the_whole(folder, how):
    assert main(["merge", "out.h5", "c.h5", "a.h5", "b.h5", *how]) == 0
    assert digests("out.h5", states=not how) == digests("whole.h5", states=not how)  # a view has none
    with h5py.File("out.h5") as out, h5py.File("whole.h5") as whole:
        assert dict(out["runs/first run"].attrs) == dict(whole["runs/first run"].attrs)
        assert list(out["runs"]) == list(whole["runs"])
        assert out["runs/second/repeats/0003"].attrs["status"] == "diverged"
        assert out["runs/first run/repeats/0000/value"].is_virtual == bool(how)
        assert out["runs/first run/repeats/0000/value"].attrs["description"] == "f(x_k)"
        assert [slice_["file"] for slice_ in json.loads(out.attrs["merged"])] == ["c.h5", "a.h5", "b.h5"]
    with xarray.open_dataset("out.h5", engine="h5netcdf", group="runs/first run/repeats/0004") as data:
        assert data["x"].dims == ("k", "coordinate")
    assert main(["run", "job.toml", "-o", "out.h5", "--resume"]) == 0  # nothing is left to do


def test_a_view_is_seen_from_the_folder_of_the_output(folder):
    (folder / "slices").mkdir()
    for name in "abc":
        (folder / f"{name}.h5").rename(folder / "slices" / f"{name}.h5")
    assert main(["merge", "out.h5", *(f"slices/{name}.h5" for name in "abc"), "--virtual"]) == 0
    moved = folder.rename(folder.with_name("moved"))
    assert digests(moved / "out.h5", states=False) == digests(moved / "whole.h5", states=False)


def test_a_view_whose_slice_is_gone_is_refused_and_not_read_as_nan(folder, capsys):
    assert main(["merge", "out.h5", "a.h5", "b.h5", "c.h5", "--virtual"]) == 0
    (folder / "b.h5").unlink()
    assert main(["info", "out.h5"]) == 2
    assert "the file b.h5, which holds a part of it, is missing" in capsys.readouterr().err


def test_what_does_not_belong_together_is_refused_by_name(folder, capsys):
    assert "of 'first run' repeat 2 is missing" in refused(capsys, "a.h5", "c.h5")
    assert "of 'first run' the repeats 0 to 2 are missing" in refused(capsys, "c.h5")
    assert "overlap.h5: repeat 1 of 'first run' is in a.h5, too" in refused(capsys, "a.h5", "overlap.h5", "c.h5")
    assert "repeat 0 of 'first run' is in a.h5, too" in refused(capsys, "a.h5", "a.h5")
    assert main(["run", "job.toml", "-o", "b.h5", "--overwrite", "--repeats", "2:3", "--set", "seed=6"]) == 0
    assert "b.h5: another experiment than a.h5: there seed is 5, not 6" in refused(capsys, "a.h5", "b.h5", "c.h5")
    (folder / "text.h5").write_text("no HDF5")
    assert "text.h5: expected a trajectory file" in refused(capsys, "text.h5")
    assert "out.h5: expected another output than the inputs" in refused(capsys, "out.h5")
    (folder / "linked.h5").symlink_to("out.h5")
    assert "out.h5: expected another output than the inputs" in refused(capsys, "linked.h5", "--overwrite")
    assert "out.h5: expected another output than the inputs" in refused(capsys, "./out.h5", "--overwrite")
    assert not (folder / "out.h5").exists()
    assert not list(folder.glob("*.part"))
    (folder / "out.h5").touch()
    assert "out.h5: this output exists already" in refused(capsys, "a.h5")


def test_an_unfinished_slice_is_refused(folder, capsys):
    with h5py.File("b.h5", "r+") as file:
        file["runs/second/repeats/0002"].attrs["status"] = "running"
    expected = "b.h5: repeat 2 of 'second' is unfinished: give its job --resume"
    assert expected in refused(capsys, "a.h5", "b.h5", "c.h5")


def test_other_workers_or_data_are_another_experiment(folder, capsys):
    with h5py.File("b.h5", "r+") as file:
        file["runs/second"].attrs["workers"] = 4
    assert "b.h5: 'second' has workers = 4, but in a.h5 it is 1" in refused(capsys, "a.h5", "b.h5")
    with h5py.File("c.h5", "r+") as file:
        file.attrs["provenance"] = json.dumps(json.loads(file.attrs["provenance"]) | {"data_sha256": "0"})
    assert "c.h5: made from other data than a.h5" in refused(capsys, "a.h5", "c.h5")


def test_another_attribute_that_is_missing_is_a_difference(folder, capsys):
    with h5py.File("b.h5", "r+") as file:
        del file["runs/second"].attrs["sigma2"]
    assert "b.h5: 'second' has sigma2 = missing, but in a.h5 it is " in refused(capsys, "a.h5", "b.h5", "c.h5")


def test_a_file_runs_again_to_the_same_hashes(folder, capsys):
    before = (folder / "b.h5").read_bytes()
    assert main(["rerun", "b.h5"]) == 0
    assert capsys.readouterr().out == "2 of 2 repeats have the same sha256 as in b.h5\n"
    assert (folder / "b.h5").read_bytes() == before
    assert main(["rerun", "b.h5", "-o", "again.h5"]) == 0
    assert digests("again.h5") == digests("b.h5")


def test_a_rerun_says_from_where_on_it_differs_and_which_version_does(folder, capsys):
    with h5py.File("a.h5", "r+") as file:
        repeat = file["runs/first run/repeats/0001"]
        repeat.attrs["sha256"] = "0" * 64
        repeat["value"][2] += 1.0
        repeat.attrs.pop("columns_sha256", None)
        file.attrs["provenance"] = json.dumps(json.loads(file.attrs["provenance"]) | {"numpy": "1.0"})
    assert main(["rerun", "a.h5"]) == 1
    differs, version, count = capsys.readouterr().out.splitlines()
    assert differs == "'first run', repeat 1: differs, in the recorded values from k = 10 on"
    assert version.startswith("numpy was 1.0, and is 2")
    assert count == "3 of 4 repeats have the same sha256 as in a.h5"


def test_what_a_slice_was_resumed_with_is_in_the_merged_file_and_a_rerun_of_it_looks_there(folder, capsys):
    with h5py.File("b.h5", "r+") as file:
        origin = json.loads(file.attrs["provenance"]) | {"processor": "another", "git": "older"}
        file.attrs["resumed"] = json.dumps([origin, origin])
    with h5py.File("c.h5", "r+") as file:
        file.attrs["provenance"] = json.dumps(json.loads(file.attrs["provenance"]) | {"blas": "a third"})
    assert main(["merge", "out.h5", "a.h5", "b.h5", "c.h5"]) == 0
    assert Trajectory(folder / "out.h5").resumed == [origin, origin]
    with h5py.File("out.h5", "r+") as file:
        file["runs/first run/repeats/0001"].attrs["sha256"] = "0" * 64
    capsys.readouterr()
    assert main(["rerun", "out.h5"]) == 1
    _, processor, blas, count = capsys.readouterr().out.splitlines()
    assert processor.startswith("processor was another, and is ")
    assert blas.startswith("blas was a third, and is ")
    assert count == "9 of 10 repeats have the same sha256 as in out.h5"


@pytest.mark.parametrize("how", [[], ["--virtual"]])
def test_a_dataset_more_is_left_where_it_is(folder, how):
    unseal(folder / "b.h5")  # what HDF5 adds may lie on a part of the seal, and leave the rest
    with h5py.File("b.h5", "r+") as file:
        file["runs/first run/repeats/0002/notes"] = 3.0
    assert main(["merge", "out.h5", "c.h5", "a.h5", "b.h5", *how]) == 0
    assert digests("out.h5", states=not how) == digests("whole.h5", states=not how)


def test_a_setting_that_an_older_version_did_not_write_is_no_difference(folder):
    with h5py.File("b.h5", "r+") as file:
        del file["runs/second"].attrs["start.size"]
    assert main(["merge", "out.h5", "c.h5", "a.h5", "b.h5"]) == 0


def test_a_file_without_one_of_its_runs_is_refused_by_name(folder, capsys):
    with h5py.File("b.h5", "r+") as file:
        del file["runs/second"]
    expected = "b.h5: expected the runs of its experiment, 'first run' and 'second'; 'second' is missing\n"
    assert expected in refused(capsys, "a.h5", "b.h5", "c.h5")
    for command in (["rerun", "b.h5"], ["run", "job.toml", "-o", "b.h5", "--resume"]):
        assert main(command) == 2
        assert expected in capsys.readouterr().err
    with h5py.File("a.h5", "r+") as file:
        file.attrs["experiment"] = "[["
    assert "a.h5: the experiment that it carries: not valid TOML" in refused(capsys, "a.h5", "c.h5")


def test_a_rerun_without_its_data_names_the_file_and_the_folder(folder, capsys):
    (folder / "data.svm").write_text("1 1:2\n-1 1:1 2:1\n")
    (folder / "job.toml").write_text(JOB.replace("wine", "data.svm"))
    assert main(["run", "job.toml", "-o", "a.h5", "--overwrite"]) == 0
    (folder / "data.svm").unlink()
    capsys.readouterr()
    assert main(["rerun", "a.h5"]) == 2
    said = capsys.readouterr().err
    assert "a.h5: the experiment that it carries: problem.data: no file and no bundled data set 'data.svm'" in said
    assert said.endswith(f"; it was run in {folder}\n")


def test_a_file_has_the_name_of_its_job(folder, capsys):
    assert main(["merge", "out.h5", "a.h5", "b.h5", "c.h5"]) == 0
    assert main(["rerun", "a.h5", "-o", "again.h5"]) == 0
    for file, name in (("a.h5", "job"), ("out.h5", "job"), ("again.h5", "job")):
        assert h5py.File(file).attrs["name"] == name
    assert main(["run", "job.toml", "-o", "named.h5", "--set", 'name="as\\u0000named"', "--set", "repeats=1"]) == 0
    capsys.readouterr()
    assert main(["info", "named.h5"]) == 0
    assert capsys.readouterr().out.startswith("named.h5: as\\x00named, written by mpisign ")
    with h5py.File("named.h5", "r+") as file:
        del file.attrs["name"]
    assert Trajectory(folder / "named.h5").name == "named"  # a file of an older version


def test_info_tells_where_a_file_comes_from(folder, capsys):
    assert main(["info", "b.h5", "--provenance"]) == 0
    said = capsys.readouterr().out
    for name, value in Trajectory(folder / "b.h5").provenance.items():
        assert f"{name:12} {value}\n" in said
    assert "[experiment] repeats 2:3; workers 'first run': 3, 'second': 1\n" in said
    assert JOB in said


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_rerun_compares_recorded_values_too(elsewhere, folder, capsys):
    """x is the same; one value was recorded a unit in the last place higher, as other kernels of BLAS would have it."""
    with h5py.File("a.h5", "r+") as file:
        repeat = file["runs/first run/repeats/0001"]
        repeat["value"][2] = np.nextafter(repeat["value"][2], np.inf)
        repeat["seconds"][1] += 1.0  # no result
        repeat.attrs.pop("columns_sha256", None)
        other = {"blas": "openblas 0.1 Prescott"} if elsewhere else {}
        file.attrs["provenance"] = json.dumps(json.loads(file.attrs["provenance"]) | other)
    assert main(["rerun", "a.h5"]) == 1
    differs, why, *versions, same, values = capsys.readouterr().out.splitlines()
    assert differs.startswith("'first run', repeat 1: x is the same, but value differs first, at k = 10: ")
    assert re.search(r"relatively [12]\.\de-16$", differs)
    assert ("can explain it" in why) == elsewhere
    assert len(versions) == elsewhere
    assert same == "4 of 4 repeats have the same sha256 as in a.h5"
    assert values == "1 of these have other recorded values"
