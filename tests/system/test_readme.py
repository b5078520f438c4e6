"""Each command that the README and its two further pages show, run as it stands there; and what they name is there."""

import json
import os
import re
import shlex
import shutil
import sys
from functools import cache
from pathlib import Path

import pytest

from digests import digests
from launch import ROOT, call, mpisign, programs
from mpisign.storage.trajectory import Trajectory

README = (ROOT / "README.md").read_text()
PAGES = "\n".join([README, *((ROOT / folder / "README.md").read_text() for folder in ("jobs", "analysis"))])
COMMANDS = [
    line for block in re.findall(r"^```sh\n(.*?)^```", PAGES, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]
LEDGER = ROOT / "mpisign" / "audit" / "claims"
QUICKSTART = [command for command in COMMANDS if "results/quickstart.h5" in command]
ELSEWHERE = {*QUICKSTART, "mpisign bench --quick", "mpisign doctor"}
"""What jobs/quickstart.sh runs as well, and what tests/tools/test_bench.py and tests/tools/test_doctor.py run."""
TOUR = [command for command in COMMANDS if not command.startswith("bash ") and command not in ELSEWHERE]
ALONE = [command for command in TOUR if not command.startswith(("mpirun", "mpisign launch"))]
WRITES = re.compile("mpisign (merge|data synth|data convert) ")
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A place with what the commands read, so that they write nothing into this checkout."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("jobs", "analysis"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


def written(command):
    """The file that a command writes, or the folder; none for what only reads."""
    words = shlex.split(command)
    if "-o" in words:
        return words[words.index("-o") + 1]
    return next((word for word in words if word.endswith(".h5")), "") if WRITES.match(command) else ""


def read(command):
    """The HDF5 files that a command reads: its own arguments, and the data of its job."""
    words = shlex.split(command)
    jobs = "".join((ROOT / word).read_text() for word in words if word.endswith(".toml"))
    return {*(word for word in words if word.endswith(".h5")), *re.findall(r'"(\S+\.h5)"', jobs)} - {written(command)}


def before(command):
    """The earlier commands that write what this one reads."""
    return [earlier for earlier in ALONE[: ALONE.index(command)] if written(earlier) in read(command)]


@pytest.fixture(scope="module")
def follow(checkout):
    """Run a command of the tour, once, after the earlier ones that write what it reads; gives the finished process."""

    @cache
    def run(command):
        for earlier in before(command):
            run(earlier)
        return call(["env", *shlex.split(command)], cwd=checkout, PATH=PATH)

    return run


def test_what_a_command_reads_an_earlier_one_has_written():
    assert all(read(command) == {written(earlier) for earlier in before(command)} for command in ALONE)
    (figures,) = (command for command in ALONE if "example5.py" in command)
    assert [written(run) for run in before(figures)] == ["results/figure2.h5", "results/figure3.h5"]
    assert [written(data) for data in before(before(figures)[0])] == ["results/epsilon-small.h5"]


@pytest.mark.parametrize("command", ALONE)
def test_the_tour(command, follow):
    passed(follow(command))


@pytest.mark.ranks
@pytest.mark.parametrize("command", [command for command in TOUR if command not in ALONE])
def test_the_tour_s_ranks(command, checkout):
    """Each by itself: where there is no file yet, --resume starts one."""
    programs("mpich")
    passed(call(["env", *shlex.split(command)], cwd=checkout, PATH=PATH))


def passed(done):
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
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

    In earnest it takes ten minutes: the jobs, the scripts and the report are tested each by itself.
    """
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs")
    (tmp_path / "bin").mkdir()
    for name in ("mpisign", "python"):
        (tmp_path / "bin" / name).write_text(STUB)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "jobs" / "environment.sh").write_text(f"environment() {{ BIN={tmp_path}/bin; }}\n")

    def run(*options, fail="nothing fails"):
        log = tmp_path / "log"
        log.write_text("")
        done = call(["bash", "jobs/reproduce.sh", *options], cwd=tmp_path, LOG=str(log), FAIL=fail)
        return done.returncode, log.read_text().splitlines()

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
    assert scripts == commands - {"gaps.py", "check.py", "network.py", "speed.py", "gallery.py"}
    assert asked[-1] == "python analysis/report.py results -o report"
    assert sum("jobs/figure2.toml" in line for line in asked) == 3
    assert any("jobs/ce-a.toml" in line and line.endswith("--repeats 0:2") for line in asked)
    status, again = reproduce()
    assert (status, [line for line in again if line.startswith("mpisign")]) == (0, [])


def test_reproduce_stops_at_a_run_that_fails_and_takes_it_up_again(reproduce, tmp_path):
    status, asked = reproduce(fail="jobs/ce-b.toml")
    assert status != 0
    assert "jobs/ce-b.toml" in asked[-1]
    assert not (tmp_path / "results" / "ce-b.h5").exists()
    status, asked = reproduce()
    assert status == 0
    assert "jobs/ce-b.toml" in asked[next(i for i, line in enumerate(asked) if line.startswith("mpisign"))]


def test_every_job_that_the_report_asks_for_is_there():
    asked = set(re.findall(r"not_run\(([^)]*)\)", "".join(path.read_text() for path in LEDGER.glob("*.py"))))
    names = {name for some in asked for name in re.findall(r'"([\w-]+)"', some)}
    assert len(names) >= 10
    assert [name for name in names if not (ROOT / "jobs" / f"{name}.toml").exists()] == []


@pytest.mark.ranks
def test_quickstart(checkout):
    """The first command."""
    done = bash("quickstart.sh", checkout)
    assert (checkout / "figures" / "quickstart-gaps.png").stat().st_size > 10_000
    assert re.search(r"scaled signSGD, M = 3 +scaled-sign +3 +5 +3000 ", done.stdout)
    assert "figures/quickstart-gaps.png" in done.stdout


def test_the_two_commands_are_what_ci_and_these_tests_run():
    assert COMMANDS[:2] == ["bash jobs/quickstart.sh", "bash tests/run.sh"]
    assert set(COMMANDS[2:]) - set(TOUR) == ELSEWHERE
    script = (ROOT / "jobs" / "quickstart.sh").read_text()
    assert len(QUICKSTART) == 3
    for command in QUICKSTART:
        assert re.split(r"python |mpisign (?!launch)", command, maxsplit=1)[1] in script
    assert "\nbash tests/run.sh\n" in (ROOT / ".ci" / "run").read_text()


def test_every_file_it_names_is_there():
    named = set(re.findall(r"`((?:mpisign|jobs|tests|analysis)/[\w./-]*)", PAGES)) | {"CHANGELOG.md", "CITATION.cff"}
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_gallery_has_its_pictures_and_what_makes_each():
    """Below a row of pictures is one with the jobs and the script of each."""
    table = re.search(r"^## Gallery\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)[1]
    cells = [
        line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ") and "analysis/" in line
    ]
    pictures = [re.search(r"\(analysis/gallery/([\w-]+)\.png\)", cell)[1] for row in cells[::2] for cell in row]
    makers = [re.findall(r"`((?:jobs|analysis)/[\w.-]+)`", cell) for row in cells[1::2] for cell in row]
    assert len(pictures) == len(makers) >= 15
    for picture, (*jobs, script) in zip(pictures, makers, strict=True):
        assert picture.rpartition("-")[2] in (ROOT / script).read_text()
        assert jobs or script in ("analysis/flows.py", "analysis/speed.py")
    assert {path.stem for path in (ROOT / "analysis" / "gallery").glob("*.png")} == {*pictures, "ce-b-bounds"}


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
    section = README.split("### The loop, beside Algorithm 3")[1].split("\n### ")[0]
    lines = re.findall(r"\| `(.+)` \|$", section, re.MULTILINE)[1:]
    pattern = ".*".join(re.escape(line).replace(r"\.\.\.", ".*") for line in lines)
    assert len(lines) == 8
    assert re.search(pattern, (ROOT / "mpisign" / "engine" / "loop.py").read_text(), re.DOTALL)


def test_every_kind_is_named():
    from mpisign.aggregation.exchange_registry import EXCHANGES
    from mpisign.algorithms.initial_points import STARTS
    from mpisign.algorithms.methods import METHODS
    from mpisign.algorithms.oracles import ORACLES
    from mpisign.algorithms.step_sizes import STEPS
    from mpisign.data.loading import BUNDLED
    from mpisign.problems import PROBLEMS

    for registry in (METHODS, PROBLEMS, ORACLES, STEPS, STARTS, EXCHANGES, BUNDLED):
        assert [name for name in registry if f"`{name}`" not in PAGES and f'"{name}"' not in PAGES] == []


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


@pytest.mark.ranks
def test_kinds_a_claim_and_data_from_outside_the_package(checkout):
    """The README's, word by word: a method, a problem, a step rule, an exchange, a job of them, a claim, a data set."""
    section = README.split("### From your own package")[1].split("\n### ")[0]
    names = iter(("mine.py", "mine.toml", "claims_of_mine.py"))
    for code in re.findall(r"^```\w+\n(.*?)^```", section, re.MULTILINE | re.DOTALL):
        (checkout / next(names)).write_text(code)
    commands = re.findall(r"^    ((?:export|mpisign|mpirun|python|printf) .*)$", section, re.MULTILINE)
    done = call(["bash", "-e", "-c", "\n".join(commands)], cwd=checkout, PATH=PATH)
    assert done.returncode == 0, done.stderr
    results = checkout / "results"
    for run in Trajectory(results / "mine.h5"):
        assert run.gap(run.repeats[0])[-1] < run.gap(run.repeats[0])[0]
    two = ["--set", "runs.0.workers=2", "--set", "runs.1.workers=2"]
    done = mpisign("run", "mine.toml", "-o", "two.h5", *two, cwd=checkout, PYTHONPATH=".")
    assert done.returncode == 0, done.stderr
    assert digests(checkout / "two.h5") == digests(results / "ranks.h5")
    assert "mine:Decayed" in mpisign("info", results / "decayed.h5").stdout
    assert len(Trajectory(results / "mine-data.h5").runs) == 3
    claims = {claim["id"]: claim for claim in json.loads((checkout / "report" / "report.json").read_text())}
    assert claims["mine-falls"]["part"] == "From elsewhere"
    assert claims["mine-falls"]["verdict"] == "confirmed"


def test_the_script_of_from_python(tmp_path):
    section = README.split("### From Python")[1].split("\n### ")[0]
    (code,) = re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    (tmp_path / "script.py").write_text(code.replace("iterations=1000", "iterations=50"))
    done = call([sys.executable, "script.py"], cwd=tmp_path, MPLBACKEND="agg", PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(5, ")
    assert (tmp_path / "gaps.png").stat().st_size > 10_000
    again = mpisign("run", "digits.toml", "-o", "again.h5", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
