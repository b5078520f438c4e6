"""The README's two commands, its quick self-test, the script that reproduces everything; what pages have to say."""

import re
import shutil
import sys

import pytest

from launch import ROOT, call, programs

README = (ROOT / "README.md").read_text()
SITE = {str(path.relative_to(ROOT / "docs")): path.read_text() for path in sorted((ROOT / "docs").rglob("*.md"))}
LEDGER = ROOT / "mpisign" / "audit" / "claims"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A place with what the commands read, so that they write nothing into this checkout."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("jobs", "analysis", "tests"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "pyproject.toml", folder)  # pytest's settings
    return folder


def bash(script, checkout, *options, **environment):
    """A script, with the environment that runs these tests in place of a new one."""
    folder = programs("mpich").parent
    (checkout / "environment.sh").write_text(f". jobs/environment.sh\nenvironment() {{ BIN={folder}/bin; }}\n")
    text = (ROOT / script).read_text().replace(". jobs/environment.sh", ". ./environment.sh")
    (checkout / script).write_text(text)
    done = call(["bash", script, *options], cwd=checkout, **environment)
    assert done.returncode == 0, done.stderr
    return done


STUB = """#!/bin/sh
echo "$(basename "$0") $*" >> "$LOG"
for word; do
    case $last,$word in -o,*.h5* | epsilon,*.h5) mkdir -p results && : > "$word" ;; esac
    last=$word
done
case "$*" in *"$FAIL"*) exit 1;; esac
"""


@pytest.fixture
def reproduce(tmp_path):
    """reproduce.sh over stubs of its commands; returns its status, and what it asked for.

    In earnest it takes minutes: the jobs, the scripts and the report are tested each by itself.
    """
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs")
    (tmp_path / "bin").mkdir()
    for name in ("mpisign", "python"):
        (tmp_path / "bin" / name).write_text(STUB)
        (tmp_path / "bin" / name).chmod(0o755)
    say = 'say() { printf "%s\\n" "$*" >&2; }\n'
    (tmp_path / "jobs" / "environment.sh").write_text(f"{say}environment() {{ BIN={tmp_path}/bin; }}\n")

    def run(*options, fail="nothing fails", **variables):
        log = tmp_path / "log"
        log.write_text("")
        done = call(["bash", "jobs/reproduce.sh", *options], cwd=tmp_path, LOG=str(log), FAIL=fail, **variables)
        return done.returncode, log.read_text().splitlines() or done.stderr.splitlines()

    return run


def test_reproduce_runs_and_draws_everything_once(reproduce, tmp_path):
    status, asked = reproduce("--repeats", "0:2")
    assert status == 0
    run = {re.search(r"jobs/([\w-]+)\.toml", line)[1] for line in asked if line.startswith("mpisign run")}
    assert run == {path.stem for path in (ROOT / "jobs").glob("*.toml")} - {
        "quickstart",
        "epsilon-figure2",
        "epsilon-figure3",
        "slow-network",
    }
    scripts = {re.search(r"analysis/([\w-]+\.py)", line)[1] for line in asked if line.startswith("python")}
    commands = {path.name for path in (ROOT / "analysis").glob("*.py") if "__main__" in path.read_text()}
    assert scripts == commands - {"check.py", "hosts.py", "network.py", "speed.py", "gallery.py"}
    assert "python analysis/report.py results -o report" in asked
    first_drawn = next(i for i, line in enumerate(asked) if line.startswith("python"))
    assert not any(line.startswith("mpisign") for line in asked[first_drawn:])
    assert sum("jobs/figure2.toml" in line for line in asked) == 3
    assert any("jobs/ce-a.toml" in line and line.endswith("--repeats 0:2") for line in asked)
    assert len(asked) == len(set(asked))
    status, again = reproduce()
    assert (status, [line for line in again if line.startswith("mpisign")]) == (0, [])


def test_reproduce_stops_at_a_run_that_fails_and_takes_it_up_again(reproduce, tmp_path):
    status, asked = reproduce(fail="jobs/ce-b.toml")
    assert status != 0
    assert not any(line.startswith("python") for line in asked)
    assert any("jobs/ce-b.toml" in line for line in asked)
    assert not any("jobs/ties.toml" in line for line in asked)  # which would have come long after it
    assert not (tmp_path / "results" / "ce-b.h5").exists()
    status, asked = reproduce()
    assert status == 0
    assert any("jobs/ce-b.toml" in line for line in asked)
    assert not any("jobs/figure3.toml" in line for line in asked)


@pytest.mark.parametrize("jobs", ["0", "auto", "-1", "2.5"])
def test_reproduce_refuses_what_is_no_number_of_processes(jobs, reproduce):
    assert reproduce(JOBS=jobs) == (2, [f"JOBS={jobs}: expected how many processes, at least 1"])


def test_reproduce_passes_options_on_as_they_are(reproduce, tmp_path):
    """Also with spaces and quotes in them."""
    status, asked = reproduce("--set", 'start = { kind = "zeros" }')
    assert status == 0
    (ce_a,) = (line for line in asked if "jobs/ce-a.toml" in line)
    assert ce_a.endswith('--set start = { kind = "zeros" }')


def test_every_job_that_the_report_asks_for_is_there():
    asked = set(re.findall(r"not_run\(([^)]*)\)", "".join(path.read_text() for path in LEDGER.glob("*.py"))))
    names = {name for some in asked for name in re.findall(r'"([\w-]+)"', some)}
    assert len(names) >= 10
    assert [name for name in names if not (ROOT / "jobs" / f"{name}.toml").exists()] == []


@pytest.mark.ranks
def test_quickstart(checkout):
    """The first command."""
    done = bash("jobs/quickstart.sh", checkout, MPISIGN_COMPILE="")  # compiled, as it is for a user
    assert (checkout / "figures" / "quickstart-gaps.png").stat().st_size > 10_000
    assert re.search(r"scaled signSGD, M = 3 +scaled-sign +3 +5 +3000 ", done.stdout)
    assert "figures/quickstart-gaps.png" in done.stdout


@pytest.mark.ranks
def test_the_quick_self_test(checkout):
    """With the tests of one module in place of all that it takes; three ranks and a process agree."""
    done = bash("tests/quick.sh", checkout, PYTEST_ADDOPTS="-k test_counts_the_bits_that_travel", PYTHONPATH=str(ROOT))
    assert re.search("^15 of 15 repeats have the same sha256", done.stdout, re.MULTILINE)


def test_the_two_commands_come_first_and_are_what_ci_runs():
    commands = re.findall(r"^```sh\n(bash .*?)^```", README, re.MULTILINE | re.DOTALL)
    assert commands == ["bash jobs/quickstart.sh\nbash tests/run.sh\n", "bash tests/quick.sh\n"]
    assert "\nbash tests/run.sh\n" in (ROOT / ".ci" / "run").read_text()
    assert len(README.splitlines()) <= 150


def test_the_gallery_has_its_pictures_and_what_makes_each():
    """Below a picture is a paragraph with its jobs and its script."""
    paragraphs = SITE["gallery.md"].split("\n\n")
    named = [re.fullmatch(r"!\[.{10,}\]\(\.\./analysis/gallery/([\w-]+)\.png\)", each) for each in paragraphs]
    pictures = [each[1] for each in named if each]
    below = [after for each, after in zip(named, paragraphs[1:], strict=False) if each]
    makers = [re.findall(r"`((?:jobs|analysis)/[\w.-]+)`", each) for each in below]
    assert len(pictures) == SITE["gallery.md"].count("/gallery/") >= 15
    for picture, (*jobs, script) in zip(pictures, makers, strict=True):
        assert picture.rpartition("-")[2] in (ROOT / script).read_text()
        assert jobs or script in ("analysis/flows.py", "analysis/speed.py")
    assert {path.stem for path in (ROOT / "analysis" / "gallery").glob("*.png")} == {*pictures}


def test_the_gallery_is_made_of_figures(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(ROOT / "analysis")
    from matplotlib.image import imread
    from PIL import Image

    import gallery

    for name in gallery.named():
        Image.new("RGB", (1800, 900), "white").save(tmp_path / name)
    (tmp_path / "made").mkdir()
    monkeypatch.setattr(gallery, "GALLERY", tmp_path / "made")
    monkeypatch.setattr(sys, "argv", ["gallery.py", str(tmp_path)])
    assert gallery.main() == 0
    shapes = {path.name: imread(path).shape[:2] for path in (tmp_path / "made").iterdir()}
    assert shapes == dict.fromkeys(gallery.named(), (450, 900))
    (tmp_path / "bits.png").unlink()
    assert gallery.main() == 2
    assert "bits.png: expected this figure" in capsys.readouterr().err


def test_the_loop_is_as_it_is_shown():
    """Each line beside Algorithm 3, in its order."""
    section = SITE["reference/architecture.md"].split("## The loop, beside Algorithm 3")[1].split("\n## ")[0]
    lines = re.findall(r"\| `(.+)` \|$", section, re.MULTILINE)[1:]
    pattern = ".*".join(re.escape(line).replace(r"\.\.\.", ".*") for line in lines)
    assert len(lines) == 8
    assert re.search(pattern, (ROOT / "mpisign" / "engine" / "loop.py").read_text(), re.DOTALL)


def test_every_dependency_has_its_reason():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {re.split(r"[>=<]", line)[0] for group in groups for line in group}
    assert [name for name in names if name not in README] == []


def test_conda_asks_for_what_pip_asks_for():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = {*project["dependencies"], *extras["test"], *extras["system"]}
    lines = re.findall(r"^ +- ([\w-]+) *(>=[\d.]+)", (ROOT / "environment.yml").read_text(), re.MULTILINE)
    conda = {name.removesuffix("-base") + version for name, version in lines}
    assert asked <= conda
