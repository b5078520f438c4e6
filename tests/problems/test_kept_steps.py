"""A search for f* and the constants that is killed goes on where it was, to the same bits."""

import signal
import sys

import numpy as np
import pytest

import mortal
from launch import HELPERS, call
from mpisign.comm.communicator import SerialCommunicator
from mpisign.data.linear_rows import signed
from mpisign.problems import distributed_objective, reference_solution
from mpisign.problems.logistic import Logistic
from mpisign.problems.reference_solution import optimum
from mpisign.problems.regularisers import Nonconvex
from mpisign.problems.solving import kept_steps, largest_hessian, newton
from mpisign.problems.solving.kept_steps import KeptSteps

ALONE = SerialCommunicator()


class Killed(Exception):
    """The end of a search."""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty folder of what is kept, to which each step is written at once."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kept_steps, "_APART", 0.0)
    return tmp_path / "mpisign" / "minima"


def searched(problem, monkeypatch, at=None):
    """Search f* and the constants; what is found, and after how many passes. It is killed in pass number `at`."""
    passes = []

    class Mortal(distributed_objective.Objective):
        def _answer(self):
            if len(passes) == at:
                raise Killed
            passes.append(0)
            return super()._answer()

    with monkeypatch.context() as patch:
        patch.setattr(reference_solution, "Objective", Mortal)
        return optimum(problem, ALONE, quiet=True), len(passes)


def rows(n, d, dtype):
    rng = np.random.default_rng(5)
    return signed(rng.standard_normal((n, d)).astype(dtype), np.where(rng.standard_normal(n) > 0, 1.0, -1.0))


KINDS = {
    "whole Hessian": lambda: Logistic(rows(60, 4, np.float64)),
    "float32 products": lambda: Logistic(rows(60, 11, np.float32)),
    "blocks of the Hessian": lambda: Logistic(rows(60, 11, np.float64)),
    "nonconvex": lambda: Logistic(rows(60, 6, np.float64), Nonconvex(0.1)),
}


@pytest.fixture(autouse=True)
def from_d_5(monkeypatch):
    """What is done beyond d = 512, and Hessians in blocks of two rows, for a few coordinates."""
    for module in (sys.modules[Logistic.__module__], largest_hessian, newton):
        monkeypatch.setattr(module, "SMALL", 4)
    monkeypatch.setattr(distributed_objective, "_ENTRIES", 22)


@pytest.mark.parametrize("kind", KINDS)
def test_killed_in_any_pass_it_goes_on_to_the_same_bits(kind, cache, monkeypatch):
    """At passes that lie apart; nothing but the result is left in the end."""
    with monkeypatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache / "another"))
        whole, passes = searched(KINDS[kind](), monkeypatch)
    saved = 0
    for at in range(0, passes - 1, 3):
        with pytest.raises(Killed):
            searched(KINDS[kind](), monkeypatch, at)
        found, left = searched(KINDS[kind](), monkeypatch)
        assert found == whole  # floats are equal to the last bit
        assert left <= passes
        saved += passes - left
        (kept,) = cache.glob("*.*")
        assert kept.suffix == ".json"
        kept.unlink()
    assert saved > passes**2 / 12  # all that was made before would be a sixth of it


@pytest.mark.parametrize("kind", ["whole Hessian", "float32 products"])
def test_killed_again_and_again_it_comes_to_its_end(kind, cache, monkeypatch):
    """Each process makes a few passes more than the longest step has: 31, the last one of Newton's method."""
    with monkeypatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache / "another"))
        whole, passes = searched(KINDS[kind](), monkeypatch)
    kills = 0
    while True:
        try:
            found, _ = searched(KINDS[kind](), monkeypatch, 40)
            break
        except Killed:
            kills += 1
            assert kills < passes
    assert found == whole
    assert kills >= 1


def test_a_real_kill(cache):
    """By SIGKILL, in conjugate gradients: another process goes on, and makes fewer passes than one that began anew."""
    command = mortal.__file__
    whole = run(command, cache, "new")
    assert whole.returncode == 0, whole.stderr
    asked, found = whole.stdout.split(" ", 1)
    killed = run(command, cache, "killed", MORTAL_AFTER=str(int(asked) * 3 // 4))
    assert killed.returncode == -signal.SIGKILL
    assert list((cache / "killed" / "mpisign" / "minima").glob("*.newton.npz"))
    after, again = run(command, cache, "killed").stdout.split(" ", 1)
    assert again == found
    assert int(after) < int(asked) * 3 // 4


def run(command, cache, name="first", **more):
    return call([sys.executable, command], XDG_CACHE_HOME=str(cache / name), PYTHONPATH=HELPERS, **more)


def test_steps_are_kept_with_their_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_steps, "_APART", 0.0)
    numbers = np.array([np.nan, -0.0, 5e-324, 1 / 3])
    steps = KeptSteps(tmp_path / "new" / "hash.json")
    assert steps.found("a") is None
    steps.keep("a", numbers, 3)
    steps.keep("b", numbers[:2])
    steps.keep("b", numbers[1:])  # in the place of the other
    found = KeptSteps(tmp_path / "new" / "hash.json").found("a")
    assert [each.tobytes() for each in found] == [numbers.tobytes(), np.array(3).tobytes()]
    assert steps.found("b")[0].tobytes() == numbers[1:].tobytes()
    assert len(list((tmp_path / "new").iterdir())) == 2
    (tmp_path / "new" / "other.a.npz").touch()
    steps.forget()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["other.a.npz"]


def test_what_is_damaged_is_found_again(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_steps, "_APART", 0.0)
    steps, file = KeptSteps(tmp_path / "hash.json"), tmp_path / "hash.a.npz"
    steps.keep("a", np.arange(1000.0))
    whole = file.read_bytes()
    for place in range(0, len(whole), 97):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        found = steps.found("a")
        assert found is None or found[0].tobytes() == np.arange(1000.0).tobytes()
        file.write_bytes(whole[:place])
        assert steps.found("a") is None
    file.write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
    assert steps.found("a") is None


def test_any_damaged_byte_is_noticed(tmp_path, monkeypatch):
    """Also in a zip file's directory, of which zip has no checksum: entries were left out, or were of unknown kinds."""
    monkeypatch.setattr(kept_steps, "_APART", 0.0)
    steps, file = KeptSteps(tmp_path / "hash.json"), tmp_path / "hash.a.npz"
    steps.keep("a", 3, np.arange(3.0))
    whole = file.read_bytes()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x21]) + whole[place + 1 :])
        assert steps.found("a") is None
    np.save(tmp_path / "one.npy", np.arange(3.0))
    (tmp_path / "one.npy").rename(file)  # no zip file at all
    assert steps.found("a") is None


def test_a_step_that_cannot_be_removed_is_no_error(tmp_path):
    (tmp_path / "hash.a.npz").mkdir()
    KeptSteps(tmp_path / "hash.json").forget()


def test_a_short_search_writes_nothing(tmp_path):
    """Nor does one without a folder for it, or on a disk without room."""
    steps = KeptSteps(tmp_path / "hash.json")
    steps.keep("a", np.zeros(3))
    KeptSteps().keep("a", np.zeros(3))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_steps, "_APART", 0.0)
    (tmp_path / "file").touch()
    steps = KeptSteps(tmp_path / "file" / "hash.json")
    steps.keep("a", np.zeros(3))
    assert steps.found("a") is None
