"""The figure of gaps, from a trajectory file alone, on a laptop without MPI."""

import re
import sys

import h5py
import numpy as np
import pytest
from matplotlib import image

import forked
import mpisign
from alone import run_alone
from launch import ROOT, call, environment
from mpisign.storage import summary
from mpisign.storage.trajectory import Trajectory

JOB = """
    repeats = 3
    iterations = 30
    problem = { kind = "separable", eigenvalues = [1, 2] }
    oracle = { kind = "additive", size = 0.01 }
    [[runs]]
    label = "converges"
    method = "gd"
    step = { kind = "constant", alpha = 0.1 }
    [[runs]]
    label = "blows up"
    method = "gd"
    iterations = 3000
    step = { kind = "constant", alpha = 1e3 }
    """


def gaps(*arguments):
    return call([*forked.rank(sys.executable, environment()), "analysis/gaps.py", *arguments])


def test_draws_what_finished_as_png_and_pdf(tmp_path):
    path = run_alone(tmp_path, JOB)
    assert [len(run.finished()) for run in Trajectory(path)] == [3, 0]
    done = gaps(path, "-o", tmp_path / "figures")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    pixels = image.imread(tmp_path / "figures" / "out-gaps.png")
    assert pixels.shape[1] > 1000
    assert pixels.std() > 0.01
    assert (tmp_path / "figures" / "out-gaps.pdf").read_bytes().startswith(b"%PDF")


def test_curves_are_the_medians_of_the_gaps(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "analysis")
    from mpisign.audit.figures.beyond import gaps as script

    trajectory = Trajectory(run_alone(tmp_path, JOB))
    run = trajectory.runs[0]
    figure = script.draw(trajectory)
    columns = [repeat.columns for repeat in run.repeats]
    bits = columns[0]["bits_up"] + columns[0]["bits_down"]
    seconds = np.median([column["seconds"] for column in columns], axis=0)
    for axes, x in zip(figure.axes, (columns[0]["k"], bits, seconds), strict=True):
        (line,) = axes.get_lines()
        assert np.array_equal(line.get_xdata(), x)
        assert np.array_equal(line.get_ydata(), np.median([column["value"] for column in columns], axis=0))


def test_a_gap_that_cannot_be_drawn_does_not_take_the_curve_with_it(monkeypatch):
    """One of five repeats at 0 leaves the median; three leave none. One of 21 at infinity leaves it and the band."""
    monkeypatch.syspath_prepend(ROOT / "analysis")
    from mpisign.audit.figures.figure import median_and_band

    gaps = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, -1.0], [3.0, 3.0], [4.0, 4.0]])
    low, middle, high = median_and_band(gaps)
    assert middle.tolist() == pytest.approx([2.0, np.nan], nan_ok=True)
    assert np.isfinite(high).all()
    assert low[0] == pytest.approx(0.4)
    found = median_and_band(np.array([*np.arange(1.0, 21.0), np.inf])[:, None], highest=19.5)
    assert found[:, 0] == pytest.approx([3.0, 11.0, 19.0])
    assert np.isnan(median_and_band(np.array([[1e10], [np.nan], [2.0]]), highest=1e9)[1:]).all()


@pytest.mark.parametrize("argument", ["README.md", "nowhere.h5"])
def test_what_is_no_trajectory_file_is_refused_in_one_line(argument, tmp_path):
    done = gaps(argument, "-o", tmp_path / "figures")
    assert done.returncode == 2
    assert done.stderr.startswith(f"gaps.py: {argument}: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "figures").exists()


def test_a_figure_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    """-o that is a file; and where that file is told from a folder too late, when it is written."""
    path = run_alone(tmp_path, JOB)
    done = gaps(path, "-o", "README.md/figures")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.endswith("README.md: expected a folder that can be written into\n")
    (tmp_path / "out-gaps.pdf").mkdir()
    done = gaps(path, "-o", tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        f"gaps.py: --output: cannot write {tmp_path}/out-gaps.pdf: Is a directory\n",
    )


def test_nothing_finished_is_said(tmp_path):
    path = run_alone(tmp_path, JOB, "runs.0.step.alpha=1e3", "iterations=3000")
    done = gaps(path, "-o", tmp_path / "figures")
    assert (done.returncode, done.stdout) == (2, "")
    assert "complete repeat" in done.stderr


def cut(path, label, numbers, records):
    """Make repeats of a run into what they are while they run, with so many records each."""
    with h5py.File(path, "r+") as file:
        for number, count in zip(numbers, records, strict=True):
            attrs = file[f"runs/{label}/repeats/{number:04d}"].attrs
            attrs["status"], attrs["records"] = "running", count
            del attrs["sha256"], attrs["columns_sha256"]


@pytest.mark.parametrize("axis", ["iterations", "bits", "seconds"])
def test_a_run_that_is_not_over_is_drawn_as_far_as_it_is(axis, tmp_path):
    """All running: up to the last record that all have; some complete: these alone."""
    path = run_alone(tmp_path, JOB, "runs.0.label=c", "log.every=3")
    whole = Trajectory(path).runs[0]
    cut(path, "c", [0, 1, 2], [7, 4, 0])
    found = mpisign.load(path)
    (line,) = mpisign.plot.gaps(found, x=axis).get_lines()
    median = np.median([whole.gap(repeat)[:4] for repeat in whole.repeats[:2]], axis=0)
    assert np.array_equal(line.get_ydata(), median)
    assert line.get_label() == "c, k = 9 of 30"
    assert (found.partial, found["c"].partial, found["c"].k[-1]) == (True, "k = 9 of 30", 18)
    assert np.isnan(found["c"].gap).sum(axis=1).tolist() == [0, 3, 7]
    info = summary.text(Trajectory(path)).splitlines()
    assert re.match(r"c +gd +1 +0, 3 running +9 of 30 +\d", info[4])
    assert f"{median[-1]:.3e}" in info[4]
    assert info[-1] == "partial, some repeats have not ended: 'c': k = 9 of 30"


def test_complete_repeats_are_drawn_while_others_run(tmp_path):
    path = run_alone(tmp_path, JOB, "runs.0.label=c")
    whole = Trajectory(path).runs[0]
    cut(path, "c", [1], [4])
    (line,) = mpisign.plot.gaps(mpisign.load(path)).get_lines()
    assert np.array_equal(line.get_ydata(), np.median([whole.gap(whole.repeats[i]) for i in (0, 2)], axis=0))
    assert line.get_label() == "c, 2 of 3 repeats"
    assert summary.text(Trajectory(path)).splitlines()[-1].endswith("not ended: 'c': 2 of 3 repeats")


def test_figures_are_ours_whatever_a_user_has_set_of_matplotlib(tmp_path):
    """A notebook's backend that is not installed here, and a matplotlibrc that needs LaTeX."""
    path = run_alone(tmp_path, JOB)
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nlines.linewidth: 9\naxes.facecolor: red\n")
    users = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "MATPLOTLIBRC": str(tmp_path)}
    drawn = []
    for name, more in (("ours", {}), ("theirs", users)):
        done = call([sys.executable, "analysis/gaps.py", path, "-o", tmp_path / name], **more)
        assert (done.returncode, done.stderr) == (0, "")
        drawn.append(image.imread(tmp_path / name / "out-gaps.png"))
    assert (drawn[0] == drawn[1]).all()


def test_every_script_sets_its_backend_before_matplotlib_is_imported():
    for path in sorted((ROOT / "analysis").glob("*.py")):
        lines = path.read_text().splitlines()
        streams = [i for i, line in enumerate(lines) if re.match(r"(from|import) (matplotlib|figure|checking)\b", line)]
        if streams and '__name__ == "__main__"' in "\n".join(lines):
            assert lines.index("import agg  # noqa: F401") < streams[0], path
