"""A finished run goes on to more iterations and repeats: to the file of one that was as long from the start."""

import signal

import numpy as np
import pytest

import mpisign
import stopping
from digests import digests
from launch import HELPERS, mpirun
from launch import mpisign as command
from mpisign.algorithms.methods import METHODS
from mpisign.cli.main import main
from mpisign.config.experiment import Log
from mpisign.engine import planning, repeat
from mpisign.engine.records.schedule import schedule
from mpisign.storage.trajectory import COLUMNS, Trajectory

STEPS = {"sign_adagrad_norm": 0.05, "adagrad_norm": 0.05, "sign_adagrad_count": 0.05}


def job(every="log.every = 25", methods=METHODS):
    """Every method, odd and even M."""
    lines = ["seed = 7", "iterations = 300", every]
    lines += ['problem = { kind = "logistic", data = "wine" }', 'oracle = { kind = "stopping:Stopping", batch = 2 }']
    for number, method in enumerate(methods):
        lines += ["[[runs]]", f'method = "{method}"', f"workers = {2 + number % 2}"]
        lines += [f'step = {{ kind = "constant", alpha = {STEPS.get(method, 0.01)} }}']
    return "\n".join(lines)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(HELPERS)
    monkeypatch.setattr("mpisign.progress._LOG_SECONDS", 1e9)
    return tmp_path


def run(output, *options):
    return main(["run", "job.toml", "-o", output, *options])


def test_every_method_goes_on_to_the_file_of_one_long_run(folder, monkeypatch, capsys):
    """The second leg is stopped in the middle, and goes on by two processes: bit for bit all but the seconds."""
    (folder / "job.toml").write_text(job())
    assert run("long.h5", "--set", "iterations=600") == 0
    assert run("out.h5") == 0
    first = Trajectory("out.h5")
    for name, value in {"STOPPING": "stop", "STOPPING_AFTER": "2000", "STOPPING_WORKER": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(stopping, "asked", 0)
    more = ["--resume", "--set", "iterations=600"]
    assert run("out.h5", *more) == 75
    there = {repeat.status for run in Trajectory("out.h5") for repeat in run.repeats}
    assert there == {"complete", "running"}
    monkeypatch.delenv("STOPPING_AFTER")
    assert run("out.h5", *more, "--jobs", "2") == 0
    assert digests("out.h5") == digests("long.h5")
    assert all(
        one.repeats[0].sha256 != run.repeats[0].sha256 for one, run in zip(Trajectory("out.h5"), first, strict=True)
    )
    capsys.readouterr()
    assert run("out.h5", *more) == 0
    assert capsys.readouterr().out == "out.h5 was complete already: nothing is left to resume\n"


TWO = job("log = { every = 7, iterates = true }", ["signum", "adagrad-norm"]).replace(
    "iterations = 300", "iterations = 30"
)


def test_what_is_recorded_every_n_is_the_file_of_one_long_run(folder):
    """Also where K is no multiple of n, with iterates, and with more iterations of one run alone."""
    (folder / "job.toml").write_text(TWO)
    longer = ["--set", "runs.1.iterations=64"]
    assert run("long.h5", *longer) == run("out.h5") == run("out.h5", "--resume", *longer) == 0
    assert Trajectory("out.h5").runs[1].repeats[0].columns["k"].tolist() == [*range(0, 64, 7), 64]
    assert digests("out.h5") == digests("long.h5")


def test_a_job_that_is_killed_while_it_goes_on(folder):
    """SIGKILL in the second run: its file is that of the first commit, in which both are to go on."""
    (folder / "job.toml").write_text(TWO)
    longer = ["--set", "iterations=64"]
    assert run("long.h5", *longer) == run("out.h5") == 0
    ending = {"STOPPING": "kill", "STOPPING_AFTER": "50", "STOPPING_WORKER": "1", "PYTHONPATH": HELPERS}
    done = command("run", "job.toml", "-o", "out.h5", "--resume", *longer, cwd=folder, **ending)
    assert done.returncode == -signal.SIGKILL
    assert [each.repeats[0].status for each in Trajectory("out.h5")] == ["running", "running"]
    assert run("out.h5", "--resume", *longer) == 0
    assert digests("out.h5") == digests("long.h5")


def test_log_spaced_records_are_those_of_both_runs(folder, capsys):
    """From 30 to 45 to 64: those that are made stay, but that at each end, where now a step is made."""
    (folder / "job.toml").write_text(TWO.replace("every = 7", "points = 9"))
    assert run("out.h5") == 0
    first = Trajectory("out.h5", iterates=True).runs
    assert run("out.h5", "--resume", "--set", "iterations=45") == 0
    assert run("out.h5", "--resume", "--set", "iterations=64") == 0
    assert run("long.h5", "--set", "iterations=64", "--set", "log={ every = 1, iterates = true }") == 0
    one, log = Trajectory("out.h5", iterates=True), Log(points=9)
    short, middle, whole = (schedule(log, iterations) for iterations in (30, 45, 64))
    for run_, was, full in zip(one, first, Trajectory("long.h5", iterates=True), strict=True):
        found, before, every = run_.repeats[0].columns, was.repeats[0].columns, full.repeats[0].columns
        k = found["k"]
        assert k.tolist() == [*short, *middle[middle > 30], *whole[whole > 45]]
        for name in {*COLUMNS, "x"}:
            assert np.array_equal(found[name][: len(short) - 1], before[name][:-1], equal_nan=True), name
        for name in ("x", "scale", "step", "ties", "bits_up", "bits_down"):
            assert np.array_equal(found[name][:-1], every[name][k[:-1]]), name
        assert (np.diff(found["seconds"]) > 0).all()
        assert run_.repeats[0].sha256 == full.repeats[0].sha256
    assert one.overrides == ["iterations=64", "runs.0.earlier=[30, 45]", "runs.1.earlier=[30, 45]"]
    capsys.readouterr()
    assert main(["rerun", "out.h5"]) == 0
    assert capsys.readouterr().out == "2 of 2 repeats have the same sha256 as in out.h5\n"


def test_more_repeats_are_added_and_one_that_diverged_stays_so(folder):
    (folder / "job.toml").write_text(TWO)
    diverging = ["--set", "runs.1.method=gd", "--set", "runs.1.step.alpha=1e300"]
    more = [*diverging, "--set", "repeats=2", "--set", "iterations=64"]
    assert run("out.h5", *diverging) == run("out.h5", *more, "--resume") == run("long.h5", *more) == 0
    found, whole = Trajectory("out.h5"), Trajectory("long.h5")
    assert found.repeats == range(2)
    for one, other in zip(found, whole, strict=True):
        assert [each.sha256 for each in one.repeats] == [each.sha256 for each in other.repeats]
        assert [each.status for each in one.repeats] == [each.status for each in other.repeats]
    assert [each.diverged_at for each in found.runs[1].repeats] == [2, 2]
    assert [each.has_state for run in found for each in run.repeats] == [True, True, False, False]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["iterations=29"],
            "out.h5: cannot go on with this file: in it runs.0.iterations is 30, not 29 as in the job now",
        ),
        (["runs.1.iterations=29", "iterations=64"], "in it runs.1.iterations is 30, not 29 as in the job now"),
        (["repeats=1"], "in it repeats is 2, not 1 as in the job now"),
        (["iterations=64", "seed=8"], "in it seed is 7, not 8 as in the job now"),
        (["iterations=64", "log.every=8"], "in it log.every is 7, not 8 as in the job now"),
        (["runs.0.earlier=[7]"], "in it runs.0.earlier.0 is not set, not 7 as in the job now"),
        (["runs.0.earlier=[30]"], "runs.0.earlier: expected increasing numbers below iterations = 30, got [30]"),
        (
            ["iterations=64", "runs.0.label=a", "runs.1.label=b"],
            "in it runs.0.label is signum, not a as in the job now",
        ),
    ],
)
def test_what_else_is_changed_is_refused(folder, options, said, capsys):
    (folder / "job.toml").write_text(TWO)
    assert run("out.h5", "--set", "repeats=2") == 0
    before = (folder / "out.h5").read_bytes()
    options = [word for option in ["repeats=2", *options] for word in ("--set", option)]
    assert run("out.h5", "--resume", *options) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert (folder / "out.h5").read_bytes() == before


def test_a_slice_stays_a_slice_unless_more_is_asked_for(folder, capsys):
    (folder / "job.toml").write_text(TWO)
    assert run("out.h5", "--set", "repeats=4", "--repeats", "1:2") == 0
    assert run("out.h5", "--set", "repeats=5", "--resume") == 0
    assert Trajectory("out.h5").repeats == range(1, 2)
    assert run("out.h5", "--set", "repeats=5", "--resume", "--repeats", "1:4") == 0
    assert [each.number for each in Trajectory("out.h5").runs[1].repeats] == [1, 2, 3]
    capsys.readouterr()
    assert run("out.h5", "--set", "repeats=5", "--resume", "--repeats", "2:5") == 2
    assert capsys.readouterr().err == (
        "mpisign: --repeats: out.h5 has the repeats 1:4; leave it out to go on, or give 1:B with a larger B\n"
    )


def test_a_large_state_is_not_kept_which_is_said_before_the_run(folder, monkeypatch, capsys):
    """x alone, 13 numbers, may stay; with the memory of two workers it may not."""
    (folder / "job.toml").write_text(TWO)
    for module in (planning, repeat):
        monkeypatch.setattr(module, "MOST_STATE", 200)
    assert run("out.h5") == 0
    assert capsys.readouterr().err.splitlines() == [
        "mpisign: 'signum': the state of a complete repeat has 0 MiB, and is kept up to 0: the run cannot go on "
        "to more iterations"
    ]
    assert [each.repeats[0].has_state for each in Trajectory("out.h5")] == [False, True]
    assert run("out.h5", "--resume", "--set", "runs.1.iterations=64") == 0
    capsys.readouterr()
    assert run("out.h5", "--resume", "--set", "iterations=64") == 2
    assert capsys.readouterr().err == (
        "mpisign: out.h5: cannot go on with this file: in it runs.0.iterations is 30, not 64 as in the job now, and no "
        "state of 'signum', repeat 0, was kept at its end\n"
    )


def test_a_merged_file_goes_on_too_but_no_view(folder, capsys):
    (folder / "job.toml").write_text(TWO)
    both = ["--set", "repeats=2"]
    for number in (0, 1):
        assert run(f"slice-{number}.h5", *both, "--repeats", f"{number}:{number + 1}") == 0
    assert run("long.h5", *both, "--set", "iterations=64") == 0
    assert main(["merge", "out.h5", "slice-0.h5", "slice-1.h5"]) == 0
    assert run("out.h5", *both, "--set", "iterations=64", "--resume") == 0
    assert digests("out.h5") == digests("long.h5")
    assert main(["merge", "view.h5", "slice-0.h5", "slice-1.h5", "--virtual"]) == 0
    capsys.readouterr()
    assert run("view.h5", *both, "--set", "iterations=64", "--resume") == 2
    assert "and no state of 'signum', repeat 0, was kept at its end" in capsys.readouterr().err


def test_from_python(folder):
    """In memory there is no state, as nothing can go on with it."""
    (folder / "job.toml").write_text(TWO)
    short, long = (mpisign.load_experiment("job.toml", {"iterations": k}) for k in (30, 64))
    mpisign.run(short, "out.h5", progress=False)
    found = mpisign.run(long, "out.h5", mode="resume", progress=False)
    whole = mpisign.run(long, progress=False)
    assert all((found[run.label].x == run.x).all() for run in whole)
    assert not any(each.has_state for run in whole.trajectory for each in run.repeats)


@pytest.mark.ranks
def test_other_ranks_go_on(folder):
    (folder / "job.toml").write_text(TWO)
    more = ["--resume", "--set", "iterations=64"]
    assert run("long.h5", "--set", "iterations=64") == 0
    options = {"cwd": folder, "PYTHONPATH": HELPERS}
    assert mpirun("mpich", 3, "run", "job.toml", "-o", "out.h5", **options).returncode == 0
    more = [*more, "--exchange", "node"]
    assert mpirun("mpich", 2, "run", "job.toml", "-o", "out.h5", *more, **options).returncode == 0
    assert digests("out.h5") == digests("long.h5")
