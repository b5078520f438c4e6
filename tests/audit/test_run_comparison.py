"""Figures 2 and 3: the ratio of final gaps and its verdict against numbers worked apart, and the scripts' words."""

import re
from typing import NamedTuple

import numpy as np
import pytest
import scipy.stats

from launch import ROOT
from mpisign.cli.main import main
from mpisign.config.validation import InputError
from mpisign.storage.trajectory import RepeatRecord, RunRecord


class Made(RunRecord):
    """A run with these final gaps, one a repeat; None for a repeat that diverged."""

    def __init__(self, label, gaps):
        self.label, self.attributes = label, {"f_star": 0.25}
        self.repeats = [self.made(gap) for gap in gaps]

    @staticmethod
    def made(gap):
        repeat = RepeatRecord.__new__(RepeatRecord)
        repeat.ended = ""
        repeat.status = "diverged" if gap is None else "complete"
        value = 0.25 + np.array([99.0, 99.0, *([0.5 * gap, 1.5 * gap] if gap else [np.nan, np.nan])])
        repeat.columns = {"k": np.array([0, 50, 90, 100]), "value": value}
        return repeat


@pytest.fixture
def claims(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "analysis")
    from mpisign.audit import run_comparison

    return run_comparison


def test_the_final_gap_is_the_mean_over_the_last_tenth(claims):
    assert claims.final_gaps(Made("one", [1.0, 3.0])) == pytest.approx(np.array([1.0, 3.0]))


def test_the_interval_is_students_on_paired_logarithms(claims):
    rng = np.random.default_rng(1)
    a, b = np.exp(rng.standard_normal((2, 8)))
    found = claims.ratio(Made("a", a), Made("b", b))
    low, high = scipy.stats.ttest_rel(np.log(a), np.log(b)).confidence_interval(0.95)
    assert found[:3] == pytest.approx((np.exp(np.log(a / b).mean()), np.exp(low), np.exp(high)))


def test_the_interval_covers_as_often_as_it_says(claims):
    """400 draws with true ratio 1: at most 3 % to 8 % may miss it, but for a false alarm of 1 in 1000."""
    rng = np.random.default_rng(7)
    missed = 0
    for _ in range(400):
        found = claims.ratio(*(Made("x", np.exp(rng.standard_normal(6))) for _ in range(2)))
        missed += not found.low <= 1 <= found.high
    low, high = scipy.stats.binom.ppf([0.0005, 0.9995], 400, 0.05)
    assert low <= missed <= high


@pytest.mark.parametrize(
    ("ratio", "better", "similar"),
    [
        (0.1, "confirmed", "violated"),
        (0.9, "confirmed", "confirmed"),
        (1.1, "violated", "confirmed"),
        (9, "violated", "violated"),
    ],
)
def test_verdicts(claims, ratio, better, similar):
    other = np.array([1.0, 2.0, 3.0])
    one = Made("one", ratio * other * [0.999, 1.0, 1.001])
    assert claims.better(one, Made("other", other)).verdict.startswith(better)
    assert claims.similar(one, Made("other", other)).verdict.startswith(similar)


def test_what_is_not_clear_stays_open(claims):
    one, other = Made("one", [0.1, 10.0, 1.0]), Made("other", [1.0, 1.0, 1.0])
    assert claims.better(one, other).verdict == claims.similar(one, other).verdict == "inconclusive"
    assert str(claims.better(Made("one", [1.0]), Made("other", [2.0]))) == "inconclusive: one repeat only"


def test_a_run_that_diverged_is_not_better(claims):
    fast, slow = Made("fast", [1.0, None]), Made("slow", [2.0, 2.0])
    assert claims.better(fast, slow) == claims.similar(fast, slow) == ("violated", "fast diverged")
    assert claims.better(slow, fast) == ("confirmed", "fast diverged")
    assert claims.better(fast, fast) == ("violated", "fast and fast diverged")


def test_a_repeat_that_has_not_ended_is_not_called_diverged(claims):
    one, other = Made("one", [1.0, 1.1, 1.2]), Made("other", [2.0, 2.1, 2.2])
    one.repeats[2].status = other.repeats[2].status = "running"
    assert not claims.better(one, other).diverged
    assert claims.better(Made("fast", [1.0, None]), other).diverged


@pytest.mark.filterwarnings("error")
def test_a_final_gap_within_the_error_of_the_minimum_leaves_it_open(claims):
    at, above = Made("at", [1e-9, -1e-12]), Made("above", [1.0, 2.0])
    for found in (claims.better(at, above), claims.better(above, at), claims.similar(at, above)):
        assert str(found) == "inconclusive: a final gap is within the error of f*"
        assert not found.diverged


class MadeFile(list):
    """Such runs of two repeats, with their attributes, as a trajectory."""

    path, repeats = "made.h5", range(2)

    def __init__(self, *runs):
        super().__init__(Made(label, gaps) for label, gaps, _ in runs)
        self.runs = self
        for run, (_, _, attributes) in zip(self, runs, strict=True):
            run.attributes |= {"method": "scaled-sign", "workers": 1, "step.kind": "constant"} | attributes
            for number, repeat in enumerate(run.repeats):
                repeat.number = number


def test_workers_that_diverged_are_not_better(claims):
    from mpisign.audit.figures.paper import figure3

    good = [1.0, 1.01]
    runs = [("M = 1", [3.0, 3.1], 1), ("M = 9", [None, 1.0], 9), ("M = 15", good, 15)]
    file = MadeFile(*((label, gaps, {"workers": workers}) for label, gaps, workers in runs))
    assert [str(finding) for _, finding in figure3.claims(figure3.by_workers(file))] == [
        "violated: M = 9 diverged",
        "confirmed: M = 9 diverged",
    ]


@pytest.mark.parametrize("status", ["running", "not begun"])
def test_a_file_that_is_still_written_is_refused(status, claims):
    from mpisign.audit.figures.paper import figure2, figure3

    kinds = ("constant", "harmonic", "constant")
    labels = [
        (f"run {i}", [1.0, 2.0], {"method": "gd", "step.kind": kind, "workers": i}) for i, kind in enumerate(kinds)
    ]
    file = MadeFile(*labels)
    assert len(figure3.by_workers(file)) == len(file)
    if status == "running":
        file[2].repeats[1].status = "running"
    else:
        del file[2].repeats[1]
    for read in (figure2.by_step, figure3.by_workers):
        with pytest.raises(InputError, match="repeat 1 of 'run 2' was cut off or not begun: give its job --resume"):
            read(file)


def test_figure_2_draws_its_own_methods(claims):
    from mpisign.audit.figures.paper import figure2

    methods = [("gd", "constant"), ("gd", "harmonic"), ("adagrad-norm", "constant")]
    file = MadeFile(*((f"{m}, {kind}", [1.0, 2.0], {"method": m, "step.kind": kind}) for m, kind in methods))
    assert [run.label for some in figure2.by_step(file).values() for run in some] == ["gd, constant", "gd, harmonic"]


class Done(NamedTuple):
    """What a script did."""

    returncode: int
    stdout: str
    stderr: str


def test_the_figures_say_what_holds(tmp_path, monkeypatch, capsys, script):
    """Both jobs, small: every claim has a line; M = 33 beats M = 15."""
    monkeypatch.chdir(tmp_path)
    assert main(["data", "synth", "--like", "epsilon", "results/epsilon-small.h5", "--n", "2000", "--d", "50"]) == 0
    for name, iterations in (("figure2", 300), ("figure3", 200)):
        job = str(ROOT / "jobs" / f"{name}.toml")
        options = ["--repeats", "0:3", "--set", f"iterations={iterations}"]
        assert main(["run", job, "-o", f"{name}.h5", *options]) == 0
    capsys.readouterr()
    done = Done(*script("figure2", "figure2.h5", "-o", "figures"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "(a) EF-signSGD similar to SGD confirmed: ratio of final gaps " in done.stdout
    assert "(b) scaled signSGD, as printed similar to SGD violated: " in done.stdout
    assert done.stdout.count(": (a) better than (b)") == 8
    rows = re.findall(
        r"^\| (.+?) \| ",
        (ROOT / "docs" / "audit" / "found.md").read_text().split("What the paper leaves open")[1],
        re.M,
    )
    settings = re.findall(r"^([^(].*?): ", done.stdout, re.M)[:9]
    assert rows[:9] == settings
    done = Done(*script("figure3", "figure3.h5", "-o", "figures"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "M = 3 better than M = 1" not in done.stdout
    assert "M = 33 better than M = 15 confirmed: ratio of final gaps " in done.stdout
    done = Done(*script("example5", "figure2.h5", "figure3.h5", "-o", "figures"))
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search("^EF-signSGD: .a. better than .b. +batch 64  ", done.stdout, re.M)
    assert re.search("^M = 33 better than M = 15 +batch 64  confirmed: ", done.stdout, re.M)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        f"{stem}{suffix}"
        for stem in ("figure2-gaps", "figure3-workers", "example5-claims")
        for suffix in (".png", ".pdf")
    }


@pytest.mark.parametrize("name", ["epsilon-figure2", "epsilon-figure3"])
def test_the_jobs_at_full_scale_run_too(name, tmp_path, monkeypatch):
    """On small data of the same shape, for a few iterations."""
    monkeypatch.chdir(tmp_path)
    assert main(["data", "synth", "--like", "epsilon", "epsilon.h5", "--n", "200", "--d", "20"]) == 0
    job = str(ROOT / "jobs" / f"{name}.toml")
    assert main(["run", job, "-o", "out.h5", "--repeats", "0:1", "--set", "iterations=3"]) == 0
