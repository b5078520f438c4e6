"""Other languages read a trajectory file by the blocks of docs/howto/elsewhere.md; each where it is installed."""

import re
import shutil
import subprocess

import pytest

from launch import mpisign
from mpisign.storage.trajectory import Trajectory
from pages import blocks

PAGE = "docs/howto/elsewhere.md"
LABEL = "signSGD, M = 3"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the page's file `r.h5` is."""
    scratch = tmp_path_factory.mktemp("elsewhere")
    assert mpisign("init", "quickstart", cwd=scratch).returncode == 0
    short = ["--set", "iterations=100", "--set", "log.iterates=true", "--repeats", "0:2"]
    done = mpisign("run", "quickstart.toml", "-o", "r.h5", *short, cwd=scratch)
    assert done.returncode == 0, done.stderr
    return scratch


def expected(folder):
    """The last gap and the last bits of the run's first repeat, and the shape of its x by columns."""
    run = next(run for run in Trajectory(folder / "r.h5") if run.label == LABEL)
    columns = run.repeats[0].columns
    return [run.gap(run.repeats[0])[-1], columns["bits_up"][-1], run.attributes["dimension"], len(columns["k"])]


def run(folder, *command):
    """Run a program; skips the test, saying so, where it is not installed."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def block(kind, holds):
    """The page's block of that kind with these words in it."""
    (found,) = (block.text for block in blocks(PAGE) if block.kind == kind and holds in block.text)
    return found


@pytest.mark.parametrize("package", ["rhdf5", "hdf5r"])
def test_r(folder, package):
    if "TRUE" not in run(folder, "Rscript", "-e", f'cat("{package}" %in% rownames(installed.packages()))'):
        pytest.skip(f"R has no package {package}")
    numbers = run(folder, "Rscript", "-e", block("r", f"library({package})")).split()
    assert [float(number) for number in numbers] == pytest.approx(expected(folder), rel=1e-6)


def test_octave(folder):
    numbers = run(folder, "octave-cli", "--eval", block("octave", "load")).split()
    assert [float(number) for number in numbers] == pytest.approx(expected(folder), rel=1e-6)


def test_hdf5_tools(folder):
    if shutil.which("h5dump") is None:
        pytest.skip("the HDF5 tools are not installed")
    listed = run(folder, "bash", "-ec", block("sh", "h5dump"))
    shown = re.search(r"\(0\): ([\d.]+)", listed)
    (run_record,) = (run for run in Trajectory(folder / "r.h5") if run.label == LABEL)
    assert float(shown[1]) == pytest.approx(run_record.attributes["f_star"], rel=1e-5)
    names = re.findall(r"^(\w+) +Dataset", listed, re.M)
    assert names == re.findall(r"^(\w+) +Dataset", block("text", "agreement"), re.M)
    numbers = (folder / "value.txt").read_text().replace(",", " ").split()
    values = run_record.repeats[0].columns["value"]
    assert [float(number) for number in numbers] == pytest.approx(values.tolist(), rel=1e-5)
