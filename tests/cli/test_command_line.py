"""The commands: what they print, what they write, and how they end."""

import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import termios
from importlib.metadata import EntryPoint
from pathlib import Path

import h5py
import numpy as np
import pytest

from launch import call, environment, mpisign
from mpisign import progress
from mpisign._version import __version__
from mpisign.aggregation.exchange_registry import EXCHANGES
from mpisign.algorithms.initial_points import STARTS
from mpisign.algorithms.methods import METHODS
from mpisign.algorithms.oracles import ORACLES
from mpisign.algorithms.step_sizes import STEPS
from mpisign.cli.main import main
from mpisign.config import registry
from mpisign.data.bundled import BUNDLED
from mpisign.engine import planning, resuming
from mpisign.engine.embedded_experiment import carried
from mpisign.problems import PROBLEMS
from mpisign.storage.trajectory import Trajectory

JOB = """
seed = 5
repeats = 4
iterations = 20
problem = { kind = "separable", eigenvalues = [1.0, 0.5] }
log = { every = 5, iterates = true }
[[runs]]
label = "first run"
method = "gd"
step = { kind = "constant", alpha = 0.1 }
[[runs]]
label = "second"
method = "scaled-sign"
step = { kind = "constant", alpha = 0.2 }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "job.toml").write_text(JOB)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*options):
    assert main(["run", "job.toml", "-o", "out.h5", *options]) == 0
    return Trajectory(Path("out.h5"), iterates=True)


def printed(capsys, *arguments):
    """What a command that succeeds prints."""
    try:
        status = main(list(arguments))
    except SystemExit as end:
        status = end.code
    out, err = capsys.readouterr()
    assert (status, err) == (0, "")
    return out


def digests(path):
    with h5py.File(path) as file:
        return {
            (label, number): repeat.attrs["sha256"]
            for label, run in file["runs"].items()
            for number, repeat in run["repeats"].items()
        }


def test_list_describes_every_kind_and_names_every_data_set(capsys):
    text = printed(capsys, "list")
    for kinds in (METHODS, PROBLEMS, ORACLES, STEPS, STARTS, EXCHANGES):
        section = re.search(rf"^{kinds.sort}\n((  .*\n)*)", text, re.MULTILINE)[1]
        more = ["auto"] if kinds is EXCHANGES else []
        assert re.findall(r"^  (\S+) +\S", section, re.MULTILINE) == [*kinds, *more]
    assert text.partition("data sets\n")[2].split() == list(BUNDLED)


def test_list_shows_every_setting_and_keeps_its_columns(monkeypatch, capsys):
    long = EntryPoint("a-name-that-is-longer-than-all-others", "mpisign.algorithms.methods:Signum", "mpisign.methods")
    monkeypatch.setattr(registry, "_installed", lambda sort: (long,) if sort == "methods" else ())
    text = printed(capsys, "list").partition("data sets\n")[0]
    assert max(map(len, text.splitlines())) <= 100
    starts = {match.start(2) for match in re.finditer(r"^(  \S+ +)(\S)", text, re.MULTILINE)}
    columns = {start - text.rindex("\n", 0, start) for start in starts}
    assert len(columns) == 1
    assert text.count("beta: number >= 0 and < 1 (default 0.9)") == 2
    for kinds in (METHODS, PROBLEMS, ORACLES, STEPS, STARTS):
        section = re.search(rf"^{kinds.sort}\n((  .*\n)*)", text, re.MULTILINE)[1]
        for name in kinds:
            own = re.search(rf"^  {name} (.*\n(?:   .*\n)*)", section, re.MULTILINE)[1]
            asked = [key for key in inspect.signature(kinds[name]).parameters if key != "share"]
            assert re.findall(r"^ +(\w+): .*\(", own, re.MULTILINE) == asked


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_the_examples_in_help_run(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["init", "quickstart"]) == 0
    capsys.readouterr()
    lines = [line.strip() for line in printed(capsys, *arguments).splitlines()]
    examples = [shlex.split(line) for line in lines if line.startswith("mpisign run ")]
    assert len(examples) >= 2
    for i, example in enumerate(examples):
        example[example.index("-o") + 1] = str(tmp_path / f"{i}.h5")
        assert printed(capsys, *example[1:], "--set", "iterations=1", "--repeats", "0:1")


def test_a_plug_in_that_cannot_be_imported_is_told_and_harms_nobody_else(folder, monkeypatch, capsys):
    """An entry point of a package whose module is gone."""
    gone = EntryPoint("decayed", "mine_is_gone:Decayed", "mpisign.methods")
    monkeypatch.setattr(registry, "_installed", lambda sort: (gone,) if sort == "methods" else ())
    reason = "'decayed', installed as mine_is_gone:Decayed: ModuleNotFoundError: No module named 'mine_is_gone'"
    assert reason in " ".join(printed(capsys, "list").split())
    run()
    capsys.readouterr()
    assert main(["run", "job.toml", "-o", "other.h5", "--set", "runs.0.method=decayed"]) == 2
    assert f"runs.0.method: {reason}" in capsys.readouterr().err


def test_too_little_memory_is_told_in_a_line(folder, monkeypatch, capsys):
    def plan(*_):
        raise MemoryError("Unable to allocate 7.28 TiB")

    monkeypatch.setattr(planning, "plan", plan)
    assert main(["run", "job.toml", "-o", "out.h5"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mpisign: more memory is needed than there is: Unable to allocate 7.28 TiB; ")
    assert "--dry-run" in line


def test_every_command_says_what_it_is_for(capsys):
    """In its own help, with the words of the list of commands."""
    commands = re.findall(r"^    (\w+) +\S", printed(capsys, "--help").partition("commands:")[2], re.MULTILINE)
    assert {"run", "rerun", "merge", "list", "info", "data", "bench", "doctor"} <= set(commands)
    for command in commands[:8]:
        usage, sentence, *_ = printed(capsys, command, "--help").split("\n\n")
        assert usage.startswith(f"usage: mpisign {command}")
        assert re.fullmatch(r"[A-Z].+\.", sentence)


@pytest.mark.parametrize("arguments", [[], ["data"]])
def test_without_a_command_there_is_help(arguments, capsys):
    assert printed(capsys, *arguments) == printed(capsys, *arguments, "--help")


def test_the_help_of_run_has_its_own_examples_and_its_exit_statuses(capsys):
    text = printed(capsys, "run", "--help")
    examples, statuses = text.partition("examples:\n")[2].split("\n\nexit status:\n")
    first, *others = examples.splitlines()
    assert first == "  mpisign init quickstart"
    assert all(" run quickstart.toml " in line for line in others)
    assert re.findall(r"^  (\d+) +\S", statuses, re.MULTILINE) == ["0", "1", "2", "75", "130"]


def test_version(capsys):
    assert printed(capsys, "--version") == f"mpisign {__version__}\n"


def test_info_has_a_line_with_label_and_repeats_of_each_run(folder, capsys):
    run("--repeats", "1:4")
    capsys.readouterr()
    rows = [re.split(" {2,}", line) for line in printed(capsys, "info", "out.h5").splitlines()]
    assert [row[:5] for row in rows[-2:]] == [
        ["first run", "gd", "1", "3", "20"],
        ["second", "scaled-sign", "1", "3", "20"],
    ]


def test_info_has_the_constants_and_how_each_is_known(folder, capsys):
    run()
    capsys.readouterr()
    line = printed(capsys, "info", "out.h5").splitlines()[1]
    assert line == "f* = 0 +- 0, L = 1.5 (exact), mu = 0.5 (exact)"


def test_a_run_says_where_it_wrote(folder, capsys):
    assert printed(capsys, "run", "job.toml", "-o", "new/deep/out.h5") == "wrote new/deep/out.h5\n"
    assert len(digests("new/deep/out.h5")) == 8


def test_a_file_that_is_complete_is_said_to_be_so(folder, capsys):
    """Also one of a slice; a file with a repeat to run is written."""
    again = ("run", "job.toml", "-o", "out.h5", "--resume")
    assert printed(capsys, *again, "--repeats", "1:3") == "wrote out.h5\n"
    assert printed(capsys, *again) == "out.h5 was complete already: nothing is left to resume\n"
    with h5py.File("out.h5", "a") as file:
        del file["runs/second/repeats/0002"]
    trajectory = Trajectory(Path("out.h5"))
    assert not resuming.is_complete(trajectory.path, carried(trajectory), trajectory.repeats)


def test_a_set_that_runs_of_their_own_value_do_not_take_is_told(folder, capsys):
    own = JOB.replace('label = "second"', 'label = "second"\niterations = 10')
    (folder / "job.toml").write_text(own)
    command = ("run", "job.toml", "-o", "out.h5", "--overwrite", "--set", "iterations=15")
    line = "--set iterations does not change 'second', with iterations of its own: --set runs.1.iterations=... does\n"
    assert printed(capsys, *command) == f"{line}wrote out.h5\n"
    assert [run.attributes["iterations"] for run in Trajectory(Path("out.h5"))] == [15, 10]
    assert printed(capsys, *command, "--set", "runs.1.iterations=12") == "wrote out.h5\n"
    assert printed(capsys, *command[:-2], "--set", "seed=2") == "wrote out.h5\n"


def test_repeats_writes_only_those_and_they_are_the_same(folder):
    run()
    everything = digests("out.h5")
    run("--repeats", "1:3", "--overwrite")
    assert len(everything) == 8
    assert digests("out.h5") == {
        (label, number): sha256 for (label, number), sha256 in everything.items() if number in ("0001", "0002")
    }


def test_set_changes_a_value_and_is_recorded(folder):
    overrides = ["iterations=7", "runs.1.step.alpha=0.25", "runs.1.label=renamed", "start.kind=zeros"]
    first, second = run(*(part for override in overrides for part in ("--set", override)))
    assert (first.attributes["iterations"], second.attributes["iterations"]) == (7, 7)
    assert (first.attributes["step.alpha"], second.attributes["step.alpha"]) == (0.1, 0.25)
    assert (first.label, second.label) == ("first run", "renamed")
    assert (second.repeats[0].columns["x"][0] == 0).all()
    assert second.repeats[0].columns["k"][-1] == 7
    with h5py.File("out.h5") as file:
        assert json.loads(file.attrs["overrides"]) == overrides
        assert file.attrs["experiment"] == JOB


def test_overwrite_replaces(folder):
    (folder / "out.h5").write_text("something else")
    assert len(run("--overwrite").runs) == 2
    assert run("--overwrite", "--set", "iterations=3").runs[0].attributes["iterations"] == 3


def test_the_script_and_the_module_do_the_same(folder):
    script = Path(sys.executable).with_name("mpisign")
    for done in (
        call([script, "run", "job.toml", "-o", "script.h5"], cwd=folder),
        mpisign("run", "job.toml", "-o", "module.h5", cwd=folder),
    ):
        assert (done.returncode, done.stderr) == (0, "")
    assert digests("script.h5") == digests("module.h5")
    assert len(digests("script.h5")) == 8


def first_not_finite(x, eigenvalues, alpha, iterations):
    """The k at which x_k, or the gradient that is taken there, is not finite; None if there is none."""
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(iterations):
            gradient = eigenvalues * x
            if not np.isfinite([x, gradient]).all():
                return k
            x = x - alpha * gradient
    return None if np.isfinite(x).all() else iterations


DIVERGING = {
    "x first": ([1.0, 0.5], 1e100, 20),
    "gradient first": ([1e200, 1.0], 1e-100, 20),
    "at the last x": ([1.0, 0.5], 1e154, 2),
}


@pytest.mark.parametrize("name", DIVERGING)
def test_a_diverging_run_ends_where_it_is_no_longer_finite(name, folder, capsys):
    eigenvalues, alpha, iterations = DIVERGING[name]
    changes = [f"problem.eigenvalues={eigenvalues}", f"runs.0.step.alpha={alpha}", f"runs.0.iterations={iterations}"]
    changes += ["start.kind=normal", "start.size=1.5", f"runs.1.step.alpha={0.1 / sum(eigenvalues)}"]
    fast, slow = run(*(part for change in changes for part in ("--set", change)))
    expected = [first_not_finite(r.columns["x"][0], np.array(eigenvalues), alpha, iterations) for r in fast.repeats]
    assert any(k is not None for k in expected)
    assert [repeat.diverged_at for repeat in fast.repeats] == expected
    for repeat, k in zip(fast.repeats, expected, strict=True):
        assert repeat.status == ("complete" if k is None else "diverged")
        assert repeat.columns["k"][-1] == (iterations if k is None else k)
        assert np.isfinite(repeat.columns["x"][:-1]).all()
    assert [(repeat.status, repeat.columns["k"][-1]) for repeat in slow.repeats] == [("complete", 20)] * 4
    completed, ended = expected.count(None), [k for k in expected if k is not None]
    said = f"'first run': {4 - completed} of 4 repeats diverged, the first at k = {min(ended)}\nwrote out.h5\n"
    assert capsys.readouterr() == (said, "")
    assert f"  {completed}, {4 - completed} diverged  " in printed(capsys, "info", "out.h5")


def test_one_repeat_may_diverge_and_another_complete(folder):
    """The steps are so large that it depends on the start whether x_2 overflows."""
    (fast, _) = run("--set", "runs.0.step.alpha=1.2e154", "--set", "runs.0.iterations=2")
    assert {repeat.status for repeat in fast.repeats} == {"complete", "diverged"}


def test_no_bar_where_stderr_is_not_a_terminal(folder):
    done = mpisign("run", "job.toml", "-o", "out.h5", cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "wrote out.h5\n", "")


def test_plain_lines_count_the_iterations_of_a_long_run(folder, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_LOG_SECONDS", -1.0)
    run()
    err = capsys.readouterr().err
    lines = [
        re.fullmatch(r"mpisign: (\d+) of 160 iterations; (.*), repeat (\d)", line).groups()
        for line in err.split("\n")[:-1]
    ]
    counts = [int(count) for count, _, _ in lines]
    assert counts == sorted(set(counts))
    assert lines[-1] == ("160", "second", "3")
    assert "\r" not in err


def test_plain_lines_count_the_passes_while_f_star_is_solved_for(folder, monkeypatch, capsys):
    """Once for this data: the second run finds it."""
    monkeypatch.setattr(progress, "_LOG_SECONDS", -1.0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    changes = "--set", "problem={kind = 'logistic', data = 'wine'}"
    run(*changes)
    lines = [line for line in capsys.readouterr().err.split("\n") if "passes" in line]
    kept = folder / "cache" / "mpisign" / "minima"
    expected = f"mpisign: 1 passes over the data; solving for f*, once for this data; it is kept in {kept}"
    assert lines[0] == expected
    run(*changes, "--overwrite")
    assert "passes" not in capsys.readouterr().err


def test_a_bar_in_a_terminal(folder):
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    command = [sys.executable, "-m", "mpisign", "run", "job.toml", "-o", "out.h5"]
    with subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while block := os.read(ours, 4096):
                shown += block
        except OSError:  # Linux says EIO where the other end is closed
            pass
        assert process.stdout.read() == b"wrote out.h5\n"
    os.close(ours)
    assert process.returncode == 0
    assert b"\rsecond, repeat 3: 100%|" in shown
    assert b"it/s]" in shown
