"""The commands of a wheel: init writes an example, plot, check and report read what a run has written."""

import tomllib

import pytest

from launch import ROOT, mpisign
from mpisign.audit.report import page
from mpisign.cli import init
from mpisign.cli.main import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_job_is_an_example_with_a_sentence(folder, capsys):
    names = {path.stem for path in (ROOT / "jobs").glob("*.toml")}
    assert set(init.jobs()) == names
    assert main(["init", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == names
    assert all(len(line.split(maxsplit=1)[1]) > 20 for line in lines)
    for name in names:
        assert main(["init", name]) == 0
        assert (folder / f"{name}.toml").read_text() == (ROOT / "jobs" / f"{name}.toml").read_text()
        tomllib.loads((folder / f"{name}.toml").read_text())


def test_init_harms_no_file_and_knows_near_names(folder, capsys):
    assert main(["init"]) == 0
    out = capsys.readouterr().out
    assert "mpisign run quickstart.toml -o quickstart.h5" in out
    (folder / "quickstart.toml").write_text("mine")
    assert main(["init"]) == 2
    assert (folder / "quickstart.toml").read_text() == "mine"
    assert main(["init", "quikstart"]) == 2
    assert "did you mean quickstart?" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["x1", "x4"])
def test_init_of_a_refutation_says_how_it_is_certified(name, folder, capsys):
    assert main(["init", name]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  mpisign certify")]
    assert main(line.split()[1:]) == 0
    assert ": refuted at k = " in capsys.readouterr().out


def test_plot_check_and_report_do_what_the_scripts_do(folder, script, capsys, monkeypatch):
    monkeypatch.setattr(page, "DPI", 50)
    assert main(["init", "ce-a"]) == 0
    assert main(["run", "ce-a.toml", "-o", "results/ce-a.h5", "--repeats", "0:4", "--set", "iterations=100"]) == 0
    capsys.readouterr()
    for command, name, files in (
        (["plot", "results/ce-a.h5"], "gaps", {"ce-a-gaps.png", "ce-a-gaps.pdf"}),
        (["check", "results/ce-a.h5", "--json", "found.json"], "check", {"ce-a-bounds.png", "ce-a-bounds.pdf"}),
        (["report", "results"], "report", {"report.html", "report.json"}),
    ):
        assert main([*command, "-o", "one"]) == 0
        said = capsys.readouterr().out
        status, out, err = script(name, *command[1:], "-o", "other")
        assert (status, out.replace("other", "one"), err) == (0, said, "")
        assert files <= {path.name for path in (folder / "one").iterdir()}
    assert (
        "1 claim is not judged in full, as runs were cut short (ce-a.h5: 4 of 64 repeats, 100 of 12000 iterations)"
        in said
    )
    assert " claims are not judged in full, as a job of theirs has no file in results: mpisign init NAME, and " in said


@pytest.mark.parametrize("command", [["plot", "no.h5"], ["check", "no.h5"], ["report", "nowhere"]])
def test_what_is_not_there_is_one_line(command, folder):
    done = mpisign(*command, cwd=folder, MPLBACKEND="module://not_installed")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert command[1] in line


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_names_every_command(shell, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--print-completion", shell])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("run", "rerun", "merge", "init", "plot", "check", "report"))
