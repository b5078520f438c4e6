"""How many threads a process has, and results in their order whoever computes them."""

import os
import signal
import threading
import time
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpisign.cli.main import main
from mpisign.comm.communicator import SerialCommunicator
from mpisign.config.threads import SETTING, in_threads, threads
from mpisign.config.validation import InputError
from mpisign.engine.parallel import pool
from mpisign.tools.dryrun.mock_communicator import MockCommunicator


def sharing(cores, size, monkeypatch):
    """A rank of `size` on a node with so many cores."""
    monkeypatch.setattr(MockCommunicator, "cores", cores)
    return MockCommunicator(0, size)


@pytest.mark.parametrize(("cores", "size", "expected"), [(1, 1, 1), (8, 1, 8), (8, 3, 2), (2, 3, 1), (8, 8, 1)])
def test_a_node_s_ranks_share_its_cores(cores, size, expected, monkeypatch):
    monkeypatch.delenv(SETTING, raising=False)
    assert threads(sharing(cores, size, monkeypatch)) == expected


def test_one_process_has_all_cores_it_may_use(monkeypatch):
    monkeypatch.delenv(SETTING, raising=False)
    assert threads(SerialCommunicator()) == len(os.sched_getaffinity(0))


def test_the_variable_says_it(monkeypatch):
    monkeypatch.setenv(SETTING, "5")
    assert threads(sharing(2, 3, monkeypatch)) == 5


@pytest.mark.parametrize("text", ["", "0", "-1", "two", "1.5", "12345", " 2", "٣", "x" * 5000])
def test_another_value_is_refused_in_a_line_that_names_it(text, monkeypatch):
    monkeypatch.setenv(SETTING, text)
    with pytest.raises(
        InputError, match=r"^MPISIGN_THREADS: expected a whole number from 1 to 9999, got .*$"
    ) as refusal:
        threads(SerialCommunicator())
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(("asked", "expected"), [(None, "1"), ("3", "3")])
def test_processes_side_by_side_share_the_cores(asked, expected, monkeypatch):
    """Two processes of two cores have one thread each, but for what the variable says."""
    monkeypatch.delenv(SETTING, raising=False)
    if asked is not None:
        monkeypatch.setenv(SETTING, asked)
    started = []
    monkeypatch.setattr(pool, "cores", lambda: 2)
    monkeypatch.setattr(pool.subprocess, "Popen", lambda *_, env, **__: started.append(env[SETTING]))
    made = pool.Pool()
    made.start(2)
    for helper in made.helpers:
        helper.pipe.close()
    assert started == [expected, expected]


@given(st.integers(0, 12), st.integers(1, 5))
def test_results_come_in_their_order(items, count):
    rooms = [np.zeros(1) for _ in range(count)]

    def compute(item, room):
        room[0] = item

    found = in_threads(compute, ((item, rooms[item % count]) for item in range(items)), count)
    assert [(item, room[0]) for item, room in found] == [(item, float(item)) for item in range(items)]


def test_so_many_are_computed_at_the_same_time():
    """Three wait for each other, which fewer threads could not; one thread is the calling one."""
    together = threading.Barrier(3, timeout=30)
    work = [(item, None) for item in range(6)]
    assert [item for item, _ in in_threads(lambda item, room: together.wait(), work, 3)] == list(range(6))
    seen = []
    list(in_threads(lambda item, room: seen.append(threading.current_thread()), work, 1))
    assert set(seen) == {threading.current_thread()}


def test_an_error_is_the_caller_s_and_ends_the_others():
    begun = []

    def compute(item, room):
        begun.append(item)
        if item == 1:
            raise ZeroDivisionError(item)

    with pytest.raises(ZeroDivisionError):
        list(in_threads(compute, ((item, None) for item in range(50)), 2))
    assert len(begun) <= 4


def test_numpy_warns_as_in_the_calling_thread():
    """A run that diverges overflows, and says so in its file alone."""
    huge = np.full(4, 1e300)
    with np.errstate(over="ignore"), warnings.catch_warnings(action="error"):
        list(in_threads(lambda item, room: huge * huge, [(0, None), (1, None)], 2))
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        list(in_threads(lambda item, room: huge * huge, [(0, None), (1, None)], 2))


def test_the_command_refuses_it_before_it_writes(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(SETTING, "many")
    job, output = tmp_path / "job.toml", tmp_path / "out.h5"
    job.write_text(
        'iterations = 2\nproblem = { kind = "separable", eigenvalues = [1.0] }\noracle = { kind = "full" }\n'
        '[[runs]]\nlabel = "gd"\nmethod = "gd"\nstep = { kind = "constant", alpha = 0.1 }\n'
    )
    assert main(["run", str(job), "-o", str(output)]) == 2
    assert not output.exists()
    said = capsys.readouterr().err
    assert said == "mpisign: MPISIGN_THREADS: expected a whole number from 1 to 9999, got 'many'\n"


def test_a_forked_process_has_threads_of_its_own():
    work = [(item, None) for item in range(4)]
    list(in_threads(lambda item, room: None, work, 2))
    child = os.fork()
    if child == 0:
        os._exit(0 if [item for item, _ in in_threads(lambda item, room: None, work, 2)] == [0, 1, 2, 3] else 1)
    for _ in range(600):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(0.05)
    else:
        os.kill(child, signal.SIGKILL)
    assert (ended, status) == (child, 0)
