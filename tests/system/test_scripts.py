"""Whatever file a script is given, it draws or refuses in one line: one repeat, a stopped job, a shortened one."""

import shutil
from itertools import count

import pytest

from launch import ROOT
from mpisign.cli.main import main
from mpisign.config.experiment import read
from mpisign.config.validation import InputError
from mpisign.engine.checkpointing import Checkpoints
from mpisign.storage.trajectory import Trajectory

JOBS = {
    "example1": ["example1"],
    "example2": ["example2"],
    "example3": ["example3"],
    "figure1": ["figure1"],
    "figure2": ["figure2"],
    "figure3": ["figure3"],
    "example5": ["figure2", "figure3"],
    "workers": ["workers", "ties", "ce-b-drift"],
    "flipped": ["flipped", "flipped-logistic"],
    "bits": ["bits"],
    "bandwidth": ["bits"],
    "gaps": ["quickstart"],
    "check": ["premise"],
}
"""Every script that reads trajectory files, but network, and the jobs whose files it is for."""

CASES = {"one repeat": (1, 60), "stopped": (2, 60), "few iterations": (2, 60), "one iteration": (2, 1)}
"""At most so many repeats, and iterations."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With small data where the jobs look for it."""
    path = tmp_path_factory.mktemp("scripts")
    data = str(path / "results" / "epsilon-small.h5")
    assert main(["data", "synth", "--like", "epsilon", data, "--n", "200", "--d", "10"]) == 0
    return path


class KilledError(Exception):
    """The end of a job that was not asked."""


def killed_at(number):
    """What stops a job in its repeat of this number, from 0, before it has recorded more than k = 0."""
    begun = count()

    def over(self, first, iterations, save):
        last = next(begun) == number
        yield range(first, 1 if last else iterations)
        if last:
            save(1)
            raise KilledError

    return over


@pytest.fixture
def run(folder, monkeypatch):
    """Runs a job as a case says; returns its file."""
    monkeypatch.chdir(folder)

    def made(job, case):
        path = folder / f"{job}-{case.replace(' ', '-')}.h5"
        if path.exists():
            return path
        source, (most, iterations) = ROOT / "jobs" / f"{job}.toml", CASES[case]
        repeats = min(most, read(source).repeats)
        options = ["--repeats", f"0:{repeats}", "--set", f"iterations={iterations}"]
        command = ["run", str(source), "-o", str(path), *options]
        if case != "stopped":
            assert main(command) == 0
            return path
        with monkeypatch.context() as patched:
            patched.setattr(Checkpoints, "over", killed_at(repeats - 1))
            with pytest.raises(KilledError):
                main(command)
        return path

    return made


def test_the_start_of_the_paper_is_not_taken_for_granted(folder, monkeypatch, script):
    """Without the first start nothing is said of it."""
    monkeypatch.chdir(folder)
    job = str(ROOT / "jobs" / "example1.toml")
    assert main(["run", job, "-o", "others.h5", "--repeats", "1:3"]) == 0
    status, out, _ = script("example1", "others.h5", "-o", "figures")
    assert status == 0
    assert "x_2l = x_0" not in out
    assert "from [ 3. -2.] alpha reaches the minimum exactly" in out


@pytest.fixture
def example5(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "analysis")
    from mpisign.audit.figures.paper import example5

    return example5


@pytest.mark.parametrize("name", ["gaps", "check", "report", "gallery"])
def test_a_part_of_an_option_is_refused(name, script):
    """What it is short for may change."""
    status, _, err = script(name, "FILE.h5", "--he")
    assert status == 2
    assert "unrecognized arguments: --he" in err


def test_two_files_of_one_batch_size_have_a_column_each(run, example5):
    path = run("figure2", "few iterations")
    (path.parent / "again").mkdir()
    for copy in ("again.h5", "again/again.h5"):
        shutil.copy(path, path.parent / copy)
    several = [Trajectory(path.parent / name) for name in (path.name, "again.h5", "again/again.h5")]
    found = example5.table(several[:2])
    assert {tuple(row) for row in found.values()} == {("batch 64", "batch 64, again")}
    with pytest.raises(InputError, match="expected files of one batch size to differ in their names"):
        example5.table(several)


def test_only_what_diverged_is_called_so(example5):
    """Once a row and side, whichever file it is of."""
    from mpisign.audit.run_comparison import Finding

    unclear, lost = Finding("inconclusive", "one repeat only"), Finding("violated", "a diverged")
    rows = {"unclear": {"x": unclear, "y": unclear}, "$lost": {"x": unclear, "y": lost}, "both": {"x": lost, "y": lost}}
    (axes,) = example5.draw(rows).axes
    assert [(text.get_text(), text.get_position()[1]) for text in axes.texts] == [("diverged", 1), ("diverged", 2)]
    marks = [line for line in axes.lines if len(line.get_xdata()) == 1 and line.get_xdata()[0] < 1]
    assert len(marks) == 3


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", JOBS)
def test_a_script_draws_or_refuses_in_one_line(name, case, run, script, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("mpisign.audit.figures.figure.FORMATS", ("png",))  # what can fail does so in each
    files = [run(job, case) for job in JOBS[name]]
    capsys.readouterr()
    status, out, err = script(name, *files, "-o", tmp_path / "figures")
    assert status in (0, 2)
    assert "k = -" not in out
    assert "nan" not in out
    assert err.count("\n") == (status == 2)
