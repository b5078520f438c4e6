"""Every command and code block of README and documentation, run as it stands; what they name and link to is there."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import forked
from digests import digests
from launch import ROOT, environment, mpisign, programs
from mpisign.storage.trajectory import Trajectory
from pages import NOTES, PAGES, blocks, folder, script, unread

SCRIPTS = {page: script(page) for page in PAGES}
RANKS = re.compile(r"mpirun|mpisign launch|slow-network|quick\.sh|mpisign bench")
ALONE = [page for page in PAGES if SCRIPTS[page] and not RANKS.search(SCRIPTS[page])]
WITH_RANKS = [page for page in PAGES if RANKS.search(SCRIPTS[page])]
REAL = ["README.md", *(page for page in PAGES if "timeout" in SCRIPTS[page])]
"""Pages that real processes follow: the one that everybody reads, and where a command is sent a signal.

Those of the others are forked from a process that has imported everything, which a start takes a second for."""
COMMAND = r"(mpisign|mpirun|python|pip|bash|sbatch|srun|conda) \S"
IN_TEXT = re.compile(rf"^\$? ?{COMMAND}", re.M)
INDENTED = re.compile(rf"^(?:    |> |\$ ){COMMAND}", re.M)


def run(page, scratch):
    """Follow a page in a copy of what a checkout has, and nothing else."""
    for name in ("jobs", "analysis"):
        shutil.copytree(ROOT / name, scratch / name)
    (scratch / "results").mkdir()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    as_usual = {"MPISIGN_COMPILE": ""}  # long runs are compiled
    variables = environment(PATH=path, MPLBACKEND="agg", PYTHONPATH=str(ROOT), **as_usual)
    if page not in REAL:
        variables["PATH"] = f"{forked.programs(variables)}{os.pathsep}{path}"
    done = subprocess.run(
        ["bash", "-ex", "-o", "pipefail", "-c", SCRIPTS[page]],
        cwd=scratch,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Warning" not in done.stderr
    assert done.stdout
    FOUND.get(page, lambda scratch: None)(scratch)


def readme(scratch):
    assert (scratch / "gaps.png").stat().st_size > 10_000
    assert len(json.loads((scratch / "report" / "report.json").read_text())) > 20


def kinds_of_ones_own(scratch):
    """A method, a problem, a step rule, an exchange, a job of them, a claim, a data set."""
    results = scratch / "results"
    for run in Trajectory(results / "mine.h5"):
        assert run.gap(run.repeats[0])[-1] < run.gap(run.repeats[0])[0]
    two = ["--set", "runs.0.workers=2", "--set", "runs.1.workers=2"]
    done = mpisign("run", "mine.toml", "-o", "two.h5", *two, cwd=scratch, PYTHONPATH=f".{os.pathsep}{ROOT}")
    assert done.returncode == 0, done.stderr
    assert digests(scratch / "two.h5") == digests(results / "ranks.h5")
    assert "mine:Decayed" in mpisign("info", results / "decayed.h5", cwd=scratch).stdout
    assert len(Trajectory(results / "mine-data.h5").runs) == 3
    claims = {claim["id"]: claim for claim in json.loads((scratch / "report" / "report.json").read_text())}
    assert claims["mine-falls"]["part"] == "From elsewhere"
    assert claims["mine-falls"]["verdict"] == "confirmed"


FOUND = {"README.md": readme, "docs/tutorials/package.md": kinds_of_ones_own}
"""What a page leaves behind, by the page."""


@pytest.mark.parametrize("page", ALONE)
def test_a_page(page, tmp_path):
    run(page, tmp_path)


@pytest.mark.ranks
@pytest.mark.parametrize("page", WITH_RANKS)
def test_a_page_with_ranks(page, tmp_path):
    programs("mpich")
    run(page, tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_no_block_escapes(page):
    """A command stands in a block that is run, or that says why not; a program in one that is run or built."""
    for block in blocks(page):
        assert not block.note or block.note.split(": ")[0] in NOTES, block.note
        assert block.kind in ("sh", "python", "toml", "text") or block.kind.startswith("{") or block.note, block.text
        if block.kind == "text":
            assert not IN_TEXT.search(block.text), block.text
        if block.kind == "toml" and block.noted("file") is None:
            assert block.noted("not run"), block.text
    assert not INDENTED.search(unread(page))


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_is_there(page):
    """Files in `code` and links to files; a test that is said to run a block."""
    text = (ROOT / page).read_text()
    named = re.findall(r"`((?:mpisign|jobs|tests|analysis|docs|packaging)/[\w./-]*)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []
    linked = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", unread(page))
    assert [name for name in linked if not (folder(page) / name).exists()] == []
    runners = [path for block in blocks(page) for path in (block.noted("run by") or "").split(", ") if path]
    assert [path for path in runners if not (ROOT / path).exists()] == []


def test_no_page_is_left_out():
    """Of those that are followed, and of the site's contents."""
    assert len(ALONE) + len(WITH_RANKS) >= 8
    contents = "\n".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    for page in (path for path in PAGES if path.startswith("docs/") and path != "docs/index.md"):
        assert Path(page).stem in contents, page
