"""Every command and code block of README and documentation, run as it stands; what they name and link to is there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from launch import ROOT, environment, programs
from pages import NOTES, PAGES, blocks, folder, script, unread

SCRIPTS = {page: script(page) for page in PAGES}
RANKS = re.compile(r"mpirun|mpisign launch|slow-network|quick\.sh|mpisign bench")
ALONE = [page for page in PAGES if SCRIPTS[page] and not RANKS.search(SCRIPTS[page])]
WITH_RANKS = [page for page in PAGES if RANKS.search(SCRIPTS[page])]
COMMAND = r"(mpisign|mpirun|python|pip|bash|sbatch|srun|conda) \S"
IN_TEXT = re.compile(rf"^\$? ?{COMMAND}", re.M)
INDENTED = re.compile(rf"^(?:    |> |\$ ){COMMAND}", re.M)


def run(page, scratch):
    """Follow a page in a copy of what a checkout has, and nothing else."""
    for name in ("jobs", "analysis"):
        shutil.copytree(ROOT / name, scratch / name)
    (scratch / "results").mkdir()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-ex", "-o", "pipefail", "-c", SCRIPTS[page]],
        cwd=scratch,
        env=environment(PATH=path, MPLBACKEND="agg", PYTHONPATH=str(ROOT)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Warning" not in done.stderr
    assert done.stdout


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
