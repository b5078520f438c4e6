"""Each command that the README shows, run as it stands there; and that what it names is there."""

import os
import re
import shlex
import shutil

import pytest

from launch import ROOT, call, programs

README = (ROOT / "README.md").read_text()
COMMANDS = [
    line for block in re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]
TOUR = [command for command in COMMANDS if not command.startswith("bash ")]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A place with what the commands read, so that they write nothing into this checkout."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("jobs", "analysis"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


@pytest.mark.parametrize("command", TOUR)
def test_the_tour(command, checkout):
    """In their order: a later command may read what an earlier one wrote."""
    path = f"{programs('mpich')}{os.pathsep}{os.environ['PATH']}"
    words = ["env", *shlex.split(command)]
    done = call(words, cwd=checkout, PATH=path)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def bash(script, checkout, *options, **environment):
    """A script of jobs/, with the environment that runs these tests in place of a new one."""
    folder = programs("mpich").parent
    (checkout / "environment.sh").write_text(f". jobs/environment.sh\nenvironment() {{ BIN={folder}/bin; }}\n")
    text = (ROOT / "jobs" / script).read_text().replace(". jobs/environment.sh", ". ./environment.sh")
    (checkout / "jobs" / script).write_text(text)
    done = call(["bash", f"jobs/{script}", *options], cwd=checkout, **environment)
    assert done.returncode == 0, done.stderr
    return done


def test_reproduce(checkout):
    """Everything is drawn, Example 5 with few iterations; what the tour has left in results/ is not run again."""
    results = checkout / "results"
    before = {path.name: path.stat().st_mtime for path in results.glob("*.h5")}
    bash("reproduce.sh", checkout, "--set", "iterations=20", "--repeats", "0:2", BATCHES="1")
    after = {path.name: path.stat().st_mtime for path in results.iterdir()}
    assert before.items() <= after.items()
    assert {"example1.h5", "example2.h5", "example3.h5", "figure1.h5", "figure2-batch1.h5", "figure3.h5"} <= set(after)
    assert not [name for name in after if "unfinished" in name]
    examples = ("example1-orbits", "example2-rates", "example3-formula", "figure1-gaps", "flows", "example5-claims")
    for name in (*examples, "workers", "flipped", "bits", "bandwidth"):
        assert (checkout / "figures" / f"{name}.png").stat().st_size > 10_000
    assert (checkout / "report" / "report.html").stat().st_size < 8_000_000
    assert "not run" not in (checkout / "report" / "report.json").read_text("utf-8")


def test_quickstart(checkout):
    """The first command."""
    done = bash("quickstart.sh", checkout)
    assert (checkout / "figures" / "quickstart-gaps.png").stat().st_size > 10_000
    assert re.search(r"scaled signSGD, M = 3 +scaled-sign +3 +5 +3000 ", done.stdout)
    assert "figures/quickstart-gaps.png" in done.stdout


def test_the_two_commands_are_what_ci_and_these_tests_run():
    assert COMMANDS[:2] == ["bash jobs/quickstart.sh", "bash tests/run.sh"]
    assert "\nbash tests/run.sh\n" in (ROOT / ".ci" / "run").read_text()


def test_every_file_it_names_is_there():
    named = set(re.findall(r"`((?:mpisign|jobs|tests|analysis)/[\w./-]*)", README)) | {"CHANGELOG.md", "CITATION.cff"}
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_kind_is_named():
    from mpisign.datasets import BUNDLED
    from mpisign.methods import METHODS
    from mpisign.oracles import ORACLES
    from mpisign.problems import PROBLEMS
    from mpisign.starts import STARTS
    from mpisign.steps import STEPS

    for registry in (METHODS, PROBLEMS, ORACLES, STEPS, STARTS, BUNDLED):
        assert [name for name in registry if name not in README] == []


def test_every_dependency_has_its_reason():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {re.split(r"[>=<]", line)[0] for group in groups for line in group}
    assert [name for name in names if name not in README] == []
