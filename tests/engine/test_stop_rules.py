"""A rule of `stop` ends a repeat at the first record that fulfils it, on any ranks, compiled or not."""

import numpy as np
import pytest

import mpisign
from alone import run_alone
from digests import digests
from launch import HELPERS, mpirun
from mpisign.audit.bounds.measurements import measured
from mpisign.audit.claims.cut_short import shortfall
from mpisign.audit.figures.figure import whole as whole_files
from mpisign.cli.main import main
from mpisign.storage import summary
from mpisign.storage.trajectory import Trajectory

JOB = """
    seed = 5
    repeats = 3
    iterations = 400
    log = { every = 5, iterates = true }
    problem = { kind = "logistic", data = "wine" }
    oracle = { kind = "minibatch", batch = 4 }
    [[runs]]
    label = "a"
    method = "scaled-sign"
    workers = 2
    scale = "mean"
    step = { kind = "constant", alpha = 0.2 }
    [[runs]]
    label = "b"
    method = "gd"
    stop = { bits = 1e5 }
    step = { kind = "constant", alpha = 0.2 }
    """


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same without a rule for the first run."""
    return Trajectory(run_alone(tmp_path_factory.mktemp("whole"), JOB, "runs.1.stop.bits=1e30"), iterates=True)


def fulfilled(run, repeat, rule, limit):
    """At which records a rule holds."""
    columns = repeat.columns
    sent = columns["bits_up"] + columns["bits_down"]
    return {"gap": run.gap(repeat) <= limit, "gradient": columns["gradient_l1"] <= limit, "bits": sent >= limit}[rule]


@pytest.mark.parametrize(("rule", "limit"), [("gap", 0.1), ("gradient", 0.35), ("bits", 12345.0)])
def test_a_repeat_ends_at_the_first_record_at_which_a_rule_holds(rule, limit, whole, tmp_path):
    """The records up to there are those of the run without a rule, but for the last digits of what BLAS computes."""
    found = Trajectory(run_alone(tmp_path, JOB, f"runs.0.stop.{rule}={limit}"), iterates=True)
    for repeat, full in zip(found.runs[0].repeats, whole.runs[0].repeats, strict=True):
        holds = fulfilled(whole.runs[0], full, rule, limit)
        end = int(np.argmax(holds))
        assert holds.any()
        assert (repeat.status, repeat.ended, repeat.has_state) == ("complete", rule, False)
        assert repeat.columns["k"].tolist() == full.columns["k"][: end + 1].tolist()
        for name in ("x", "scale", "step", "ties", "bits_up", "bits_down"):
            assert np.array_equal(repeat.columns[name], full.columns[name][: end + 1]), name
        assert repeat.columns["value"] == pytest.approx(full.columns["value"][: end + 1], rel=1e-12)
    assert [repeat.ended for repeat in found.runs[1].repeats] == ["bits"] * 3
    assert found.runs[0].attributes[f"stop.{rule}"] == limit


def test_the_first_rule_that_holds_is_named_and_what_reads_the_file_copes(tmp_path):
    path = run_alone(tmp_path, JOB, "runs.0.stop={ gap = 0.1, bits = 1e30 }", "runs.1.stop.gap=1e-9")
    results, trajectory = mpisign.load(path), Trajectory(path)
    ends = [int(repeat.columns["k"][-1]) for repeat in trajectory.runs[0].repeats]
    assert len(set(ends)) > 1
    assert (results["a"].ended, results["b"].ended, results.partial) == (["gap"] * 3, ["bits"] * 3, False)
    assert results["a"].gap.shape == (3, len(results["a"].k))
    assert f"3        {min(ends)} to {max(ends)}" in summary.text(trajectory)
    gaps = [run.gap(repeat)[-1] for run in trajectory.runs[:1] for repeat in run.repeats]
    assert f"{np.median(gaps):.3e}" in summary.text(trajectory)
    line = mpisign.plot.gaps(results).get_lines()[0]
    assert line.get_xdata()[-1] == min(ends)
    assert measured(trajectory, trajectory.runs[0]).k[-1] == min(ends)
    assert np.isfinite(measured(trajectory, trajectory.runs[0]).gaps).all()
    assert mpisign.check(results)
    with pytest.raises(mpisign.InputError, match="last iteration; repeat 0 of 'a' ended by its rule on the gap"):
        whole_files([trajectory])
    assert shortfall(trajectory) == "'a' ends by a rule of stop that the job does not have"


def test_a_rule_at_the_top_is_for_the_runs_without_their_own(tmp_path):
    found = Trajectory(run_alone(tmp_path, JOB.replace("seed = 5", "seed = 5\n    stop = { gradient = 0.5 }")))
    assert [[repeat.ended for repeat in run.repeats] for run in found] == [["gradient"] * 3, ["bits"] * 3]


def test_what_ended_by_a_rule_stays_so_and_the_others_go_on(tmp_path, monkeypatch):
    """At K no rule is looked at: a longer run looks at it there, as one that was as long from the start."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.toml").write_text(JOB)
    rule = ["--set", "runs.0.stop.gap=0.1"]
    (tmp_path / "long.h5").write_bytes(run_alone(tmp_path, JOB, "runs.0.stop.gap=0.1").read_bytes())
    ends = sorted(int(repeat.columns["k"][-1]) for repeat in Trajectory("long.h5").runs[0].repeats)
    short = ["--set", f"iterations={ends[1]}"]
    assert main(["run", "job.toml", "-o", "goes-on.h5", *rule, *short, "--jobs", "2"]) == 0
    assert sorted(repeat.ended for repeat in Trajectory("goes-on.h5").runs[0].repeats) == ["", "", "gap"]
    assert main(["run", "job.toml", "-o", "goes-on.h5", *rule, "--resume"]) == 0
    assert digests("goes-on.h5") == digests("long.h5")
    assert main(["rerun", "goes-on.h5"]) == 0


def test_compiled_runs_end_at_the_same_record(tmp_path, monkeypatch):
    """One run, of a kind that tests/engine/test_compiled_loop.py compiles too: what is on the disk is loaded."""
    job = JOB.partition("[[runs]]")[0] + "[[runs]]" + JOB.rpartition("[[runs]]")[2]
    job = job.replace("bits = 1e5", "gap = 0.1")
    monkeypatch.setenv("MPISIGN_COMPILE", "never")
    one = digests(run_alone(tmp_path, job))
    monkeypatch.setenv("MPISIGN_COMPILE", "always")
    path = run_alone(tmp_path, job)
    assert digests(path) == one
    assert all(repeat.compiled and repeat.ended for run in Trajectory(path) for repeat in run.repeats)


@pytest.mark.ranks
def test_ranks_end_at_the_same_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.toml").write_text(JOB)
    rule = ["--set", "runs.0.stop.gap=0.1"]
    assert main(["run", "job.toml", "-o", "one.h5", *rule, "--set", "runs.1.workers=1"]) == 0
    options = {"cwd": tmp_path, "PYTHONPATH": HELPERS}
    run = ["run", "job.toml", "-o", "out.h5", *rule, "--set", "runs.1.workers=1"]
    assert mpirun("mpich", 3, *run, **options).returncode == 0
    assert digests("out.h5") == digests("one.h5")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("runs.0.stop.gab=1", "runs.0.stop.gab: unknown key; did you mean gap? known: gap, gradient, bits"),
        ("runs.0.stop.gap=0", "runs.0.stop.gap: expected a number greater than 0, got 0"),
        ("runs.0.stop={}", "runs.0.stop: expected one or more of gap, gradient and bits"),
        ("runs.0.stop=1", "runs.0.stop: expected a table, got 1"),
        ("stop=1", "stop: expected a table, got 1"),
        ("runs.0.stop.gap=1e-17", "runs.0.stop.gap: expected at least "),
        ("problem={kind='unstated:Unstated'}", "runs.0.stop.gap: expected a problem that says its minimum"),
    ],
)
def test_what_is_no_rule_is_refused_in_one_line(change, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "unstated.py").write_text(UNSTATED)
    (tmp_path / "job.toml").write_text(JOB.replace('"minibatch", batch = 4', '"full"'))
    options = ["--set", "runs.0.stop.gap=1"] if "problem" in change else []
    assert main(["run", "job.toml", "-o", "out.h5", *options, "--set", change]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out.h5").exists()


UNSTATED = """
import mpisign

class Unstated(mpisign.Problem):
    dimension = 3

    def value(self, x):
        return float(x @ x)

    def gradient(self, x, out):
        out[:] = 2 * x
"""
