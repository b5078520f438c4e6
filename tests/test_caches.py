"""A cache is never required: kernels and f* are made again where it cannot be written, or is damaged."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from numba.core import types
from numba.core.errors import TypingError

from launch import ROOT
from mpisign import caches, jit
from mpisign.comm.communicator import SerialCommunicator
from mpisign.compiled import routines
from mpisign.data.linear_rows import DenseRows
from mpisign.problems import reference_solution
from mpisign.problems.logistic import Logistic

TRIPLED = """
from mpisign.jit import kernel

@kernel("int64(int64)")
def tripled(n):
    return 3 * n
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Import a module with one kernel, anew each time; its cache is in the folder that is returned."""
    (tmp_path / "tripling.py").write_text(TRIPLED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(jit, "_said", [])

    def load():
        sys.modules.pop("tripling", None)
        return __import__("tripling").tripled

    yield load
    sys.modules.pop("tripling", None)


def kept(tripled):
    return sorted(Path(tripled._cache.cache_path).glob("tripling.tripled*.nb?"))


@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
@pytest.mark.parametrize("left", [0, 10, -1])
def test_a_cut_cache_file_is_made_again(ending, left, module, capfd):
    (damaged,) = (path for path in kept(module()) if path.suffix == ending)
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:left])
    assert module()(14) == 42
    assert len(damaged.read_bytes()) == len(whole)
    again = module()
    assert again.stats.cache_hits
    assert again(14) == 42
    assert capfd.readouterr().err == ""


def test_a_full_disk_below_the_cache_names_the_folder(module, monkeypatch, capfd):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(jit.caching.IndexDataCacheFile, "_save_data", full)
    first, second = module(), module()
    assert first(14) == second(14) == 42
    said = "kernels are not kept, but compiled again at each start"
    assert capfd.readouterr().err == f"mpisign: {said}: {first._cache.cache_path}: No space left on device\n"


def test_without_a_folder_it_is_compiled_and_said_once(module, monkeypatch, capfd):
    monkeypatch.setattr(jit._Places, "_locator_classes", [])
    assert module()(14) == module()(14) == 42
    said = "kernels are not kept, but compiled again at each start: no folder for them can be written"
    assert capfd.readouterr().err == f"mpisign: {said}; set NUMBA_CACHE_DIR to one\n"


def test_a_user_without_a_home(monkeypatch, tmp_path):
    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", home)
    monkeypatch.setattr(caches.tempfile, "gettempdir", lambda: str(tmp_path))
    assert caches.own() is None
    assert reference_solution._folder() == tmp_path / f"mpisign-{os.getuid()}" / "minima"
    monkeypatch.setattr(caches.tempfile, "gettempdir", lambda: str(tmp_path / "nowhere"))
    assert reference_solution._folder() is None


def test_f_star_is_kept_where_it_can_be_and_the_line_names_that_folder(monkeypatch, tmp_path):
    """With HOME=/ it was kept nowhere, and the line named a folder that cannot be made."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(caches.tempfile, "gettempdir", lambda: str(tmp_path))
    problem = Logistic(DenseRows({"rows": np.array([[1.0], [2.0], [-3.0], [4.0]])}))
    reference_solution.optimum(problem, SerialCommunicator())
    own = tmp_path / f"mpisign-{os.getuid()}" / "minima"
    assert reference_solution._once() == f", once for this data; it is kept in {own}"
    assert len(list(own.iterdir())) == 1
    assert reference_solution.is_known(problem)
    monkeypatch.setattr(caches.tempfile, "gettempdir", lambda: str(tmp_path / "nowhere"))
    assert (
        reference_solution._once()
        == "; it is not kept, as neither the cache folder nor one below TMPDIR can be written"
    )
    assert not reference_solution.is_known(problem)


def test_what_others_may_write_is_no_private_folder(monkeypatch, tmp_path):
    """What is in it is run."""
    monkeypatch.setattr(caches.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = caches.private()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o770)
    assert caches.private() is None
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert caches.private() is None


BECOMES_ANOTHER_USER = """
import os, numba, numba.core.caching, mpisign.comm.startup
numba.njit("int64(int64)")(lambda n: n)  # which reads what only root may read here
os.setgid(54321)
os.setuid(54321)
import tripling
print(tripling.tripled(14), tripling.tripled._cache.cache_path)
"""


def test_an_install_that_another_user_cannot_write(tmp_path):
    """With the home that containers give to a number without a name."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    installed, own = tmp_path / "site", tmp_path / "tmp"
    shutil.copytree(ROOT / "mpisign", installed / "mpisign", ignore=shutil.ignore_patterns("__pycache__"))
    (installed / "tripling.py").write_text(TRIPLED)
    own.mkdir()
    own.chmod(0o777)
    for folder in tmp_path.parents:
        folder.chmod(folder.stat().st_mode | 0o011)
    tmp_path.chmod(0o755)
    code = [sys.executable, "-c", BECOMES_ANOTHER_USER]
    environment = {"PATH": os.environ["PATH"], "HOME": "/", "TMPDIR": str(own), "PYTHONPATH": str(installed)}
    done = subprocess.run(code, env=environment, capture_output=True, text=True, cwd="/")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"42 {own / 'mpisign-54321' / 'kernels'}")


def test_one_process_of_a_machine_compiles_at_a_time(tmp_path, monkeypatch):
    """The others wait, and not for ever: who has waited long enough goes on without a turn, and waits no more."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first, second, third = caches.Turn(60.0), caches.Turn(0.1), caches.Turn(60.0)
    first.take()
    begun = time.monotonic()
    second.take()
    assert time.monotonic() - begun > 0.09
    second.give()
    second.take()  # at once
    waits = threading.Thread(target=third.take)
    waits.start()
    waits.join(0.1)
    assert waits.is_alive()
    first.give()
    waits.join(30)
    assert not waits.is_alive()
    third.give()
    third.give()


def test_ranks_load_what_another_has_compiled_while_they_waited(module, monkeypatch):
    """Two ranks find no kernel; the second has its turn when the first has saved it, and compiles nothing."""
    taken, given = [], []

    def other_rank_compiles():
        taken.append(len(taken))
        if len(taken) == 1:
            load()

    found, really = [], jit._Cache.found

    def look(cache, *arguments):
        found.append(really(cache, *arguments))
        return found[-1]

    monkeypatch.setattr(jit, "launched", lambda: True)
    monkeypatch.setattr(jit._Cache, "found", look)
    monkeypatch.setattr(jit._TURN, "take", other_rank_compiles)
    monkeypatch.setattr(jit._TURN, "give", lambda: given.append(1))
    load = module
    assert module()(14) == 42
    # This rank finds nothing; nor does the other one, before and in its turn, which compiles; then this one finds it.
    assert [kernel is not None for kernel in found] == [False, False, False, True]
    assert (len(taken), len(given)) == (2, 2)


@pytest.fixture
def turns(monkeypatch):
    """What happens to the turn of a rank, which is one of several."""
    happened = []
    monkeypatch.setattr(jit, "launched", lambda: True)
    monkeypatch.setattr(jit._TURN, "take", lambda: happened.append("take"))
    monkeypatch.setattr(jit._TURN, "give", lambda: happened.append("give"))
    return happened


def test_who_looks_for_a_routine_takes_no_turn(turns):
    """It compiles nothing: with the turn, it would let the others wait until it had something else to compile."""

    def missing(number):
        return number

    with pytest.raises(routines.NotOnDisk):
        routines.routine(missing, (types.int64,), [], routines.Budget(0))
    assert turns == []


def test_a_compilation_that_fails_gives_the_turn_back(turns):
    with pytest.raises(TypingError):

        @jit.kernel("int64(int64)")
        def wrong(number):
            return number.nothing

    assert turns == ["take", "give"]
