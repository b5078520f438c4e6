"""File names that are not UTF-8, and letters that a terminal does not have."""

import os
import subprocess
import sys

import pytest

from launch import ROOT, mpisign
from mpisign.cli.main import main
from mpisign.config.validation import in_utf8
from mpisign.data.file import DataFile
from mpisign.storage.trajectory import Trajectory

ODD = os.fsdecode(b"\xff")
JOB = """
iterations = 5
repeats = 2
problem = { kind = "logistic", data = "wine" }
[[runs]]
label = "α"
method = "gd"
step = { kind = "constant", alpha = 0.1 }
"""
ASCII = {"PYTHONIOENCODING": "ascii:strict"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder, the current one, whose name is not UTF-8, with a job and data of such names."""
    folder = tmp_path / f"folder{ODD}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"this file system takes no such name: {error}")
    (folder / f"job{ODD}.toml").write_text(JOB, encoding="utf-8")
    (folder / f"data{ODD}.txt").write_text("1 1:1 2:3\n-1 1:2\n")
    monkeypatch.chdir(folder)
    return folder


def run(*words):
    return main(["run", f"job{ODD}.toml", *words])


def test_a_name_is_text_for_a_file():
    assert in_utf8(f"α{ODD}.txt") == "α\\xff.txt"


def test_data_of_such_a_name_are_converted_and_used(folder):
    assert main(["data", "convert", f"data{ODD}.txt", f"data{ODD}.h5"]) == 0
    assert DataFile(folder / f"data{ODD}.h5").attributes["source"] == "data\\xff.txt"
    for suffix in ("h5", "txt"):
        job = ["--set", f"problem.data=data{ODD}.{suffix}", "-o", f"run{ODD}.h5", "--overwrite"]
        assert run(*job) == 0
        assert Trajectory(folder / f"run{ODD}.h5").runs[0].attributes["problem.data"] == f"data\\xff.{suffix}"
        assert main(["rerun", f"run{ODD}.h5"]) == 0
        assert run(*job[:-1], "--resume") == 0


def test_slices_of_such_names_are_merged_and_a_view_of_them_refused(folder, capsys):
    slices = [f"{ODD}-{first}.h5" for first in range(2)]
    for first, name in enumerate(slices):
        assert run("-o", name, "--repeats", f"{first}:{first + 1}") == 0
    assert main(["merge", f"all{ODD}.h5", *slices]) == 0
    assert main(["info", f"all{ODD}.h5"]) == 0
    assert main(["merge", "view.h5", *slices, "--virtual"]) == 2
    assert "\\udcff-0.h5: expected a name in UTF-8, which a view keeps" in capsys.readouterr().err
    assert not os.path.exists("view.h5")
    for first, name in enumerate(slices):
        os.rename(name, f"{first}.h5")
    assert main(["merge", "view.h5", "0.h5", "1.h5", "--virtual"]) == 0
    assert Trajectory(folder / "view.h5").repeats == range(2)


def test_a_terminal_of_ascii_shows_greek_labels_and_such_names_spelt_out(folder):
    done = mpisign("run", f"job{ODD}.toml", "-o", f"run{ODD}.h5", cwd=folder, **ASCII)
    assert (done.returncode, done.stdout) == (0, "wrote run\\udcff.h5\n")
    for words in (["info", f"run{ODD}.h5"], ["run", f"job{ODD}.toml", "-o", "other.h5", "--dry-run"]):
        done = mpisign(*words, cwd=folder, **ASCII)
        assert (done.returncode, done.stderr) == (0, "")
        assert "\\u03b1" in done.stdout
    script = [sys.executable, ROOT / "analysis" / "gaps.py", f"run{ODD}.h5", "-o", f"figures{ODD}"]
    environment = os.environ | ASCII
    done = subprocess.run(script, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "drew figures\\udcff" in done.stdout


def test_blas_is_named_in_one_order(monkeypatch):
    """Ranks load numpy's and scipy's in another order than one process does, which was taken for another machine."""
    from mpisign.storage import provenance

    pools = [{"user_api": "blas", "internal_api": "openblas", "version": v} for v in ("0.3.31", "0.3.30")]
    monkeypatch.setattr(provenance, "threadpool_info", lambda: pools)
    one = provenance._blas()
    monkeypatch.setattr(provenance, "threadpool_info", lambda: pools[::-1])
    assert provenance._blas() == one == "openblas 0.3.30 , openblas 0.3.31 "
