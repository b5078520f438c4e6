"""What is forked for a test is what would have been started: it sees the same, does the same and ends the same way."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import forked
from digests import digests
from launch import HELPERS, call, environment, mpirun, programs
from mpisign.comm.launcher import PREFIXES

ENDINGS = {
    "nothing": "print('out')",
    "a status": "import sys; print('out'); sys.exit(3)",
    "a text": "import sys; sys.exit('why')",
    "an error": "raise KeyError('why')",
    "at exit": "import atexit, sys; atexit.register(print, 'last'); sys.exit()",
    "a thread": "import threading, time; threading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()",
    "a signal": "import os; os.kill(os.getpid(), 15)",
    "killed": "import os; os.kill(os.getpid(), 9)",
    "a quick end": "import os; os._exit(7)",
}

JOB = """
iterations = 60
problem = { kind = "logistic", data = "wine" }
oracle = { kind = "stopping:Stopping", batch = 2 }
[[runs]]
method = "scaled-sign"
workers = 2
step = { kind = "constant", alpha = 1e-3 }
"""


def quick():
    """What stands for `python`."""
    return forked.rank(sys.executable, environment())


@pytest.mark.parametrize("code", ENDINGS.values(), ids=ENDINGS)
def test_it_ends_as_a_real_one(code, tmp_path):
    (tmp_path / "script.py").write_text(code)
    real, fork = (call([*python, "script.py"], cwd=tmp_path) for python in ([sys.executable], quick()))
    assert (fork.returncode, fork.stdout) == (real.returncode, real.stdout)
    assert fork.stderr.splitlines()[-1:] == real.stderr.splitlines()[-1:]  # a traceback has other lines before


SLEEP = "import os, time; print(os.getpid(), flush=True); time.sleep(100)"


def asleep(python, folder):
    """A process that sleeps, by what stands for it, and its number."""
    (folder / "sleep.py").write_text(SLEEP)
    started = subprocess.Popen([*python, "sleep.py"], cwd=folder, env=environment(), stdout=subprocess.PIPE)
    return started, int(started.stdout.readline())


def is_gone(process):
    """Whether a process is gone within ten seconds, or is a zombie."""
    for _ in range(1000):
        try:
            with open(f"/proc/{process}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_is_gone_with_what_stands_for_it(number, tmp_path):
    stub, process = asleep(quick(), tmp_path)
    with stub:
        assert os.path.exists(f"/proc/{process}")
        stub.send_signal(number)
        assert stub.wait() == -number
    assert is_gone(process)


@linux
def test_it_is_gone_with_the_server(tmp_path, monkeypatch):
    """Which ends when its standard input does, as that of the tests is a pipe from them."""
    monkeypatch.setenv("NUMBA_OF_THIS_TEST", "1")  # nobody else has it: a server of its own
    stub, process = asleep(quick(), tmp_path)
    *_, server = forked._server(sys.executable, frozenset(forked.read_at_import(environment()).items()))
    server.stdin.close()
    with stub:
        assert (server.wait(60), stub.wait(60)) == (0, 1)
    assert is_gone(process)


@linux
@pytest.mark.ranks
@pytest.mark.parametrize("mpi", ["mpich", "openmpi"])
def test_a_rank_sees_what_a_real_one_sees(mpi, tmp_path):
    """Environment, path, arguments, descriptors, signals, session, cores, limits and more."""
    folder = programs(mpi)
    seen = []
    for python in ([folder / "python"], forked.rank(folder / "python", environment())):
        launched = [folder / "mpiexec", "-n", "2", *python, "-m", "mpi4py", "-m", "sight", "seen", "more"]
        shell = f'umask 027; ulimit -n 200; exec {" ".join(map(str, launched))} <<<"its input"'
        done = call(["bash", "-c", shell], cwd=tmp_path, PYTHONPATH=HELPERS, SEEN="a value")
        assert done.returncode == 0, done.stderr
        seen.append([without_launch(json.loads((tmp_path / f"seen-{rank}").read_text())) for rank in (0, 1)])
    for real, fork in zip(*seen, strict=True):
        assert {name: (value, fork[name]) for name, value in real.items() if value != fork[name]} == {}
    assert seen[0][0]["environment"]["SEEN"] == "a value"
    assert seen[0][0]["limits"]["RLIMIT_NOFILE"][0] == 200
    assert seen[0][0]["input"] == ("its input\n" if mpi == "mpich" else "")


def without_launch(seen):
    """What a rank saw without the values that differ between two launches."""
    own = {name: value for name, value in seen["environment"].items() if name.startswith(PREFIXES)}
    seen["environment"] |= dict.fromkeys(own)
    lines = seen["environment of what it starts"]
    seen["environment of what it starts"] = [line for line in lines if not line.startswith(PREFIXES)]
    return seen


@pytest.mark.ranks
@pytest.mark.parametrize("mpi", ["mpich", "openmpi"])
def test_ranks_do_what_real_ones_do(mpi, tmp_path):
    """A trajectory; and an error of one rank ends the others, and is said once."""
    (tmp_path / "job.toml").write_text(JOB)
    run = ["run", "job.toml", "--overwrite", "-o", "out.h5"]
    failing = {"STOPPING": "raise", "STOPPING_AFTER": "20", "STOPPING_WORKER": "1"}
    found = []
    for real in (True, False):
        done = mpirun(mpi, 3, *run, real=real, cwd=tmp_path, PYTHONPATH=HELPERS)
        found.append((done.returncode, done.stdout, done.stderr, digests(tmp_path / "out.h5")))
    assert found[0] == found[1]
    assert found[0][:3] == (0, "wrote out.h5\n", "")
    failed = mpirun(mpi, 3, *run, cwd=tmp_path, PYTHONPATH=HELPERS, **failing)
    assert failed.returncode == 1  # as of real ones, in test_faults.py
    assert failed.stderr.count("mpisign: rank 2 failed, in ") == failed.stderr.count("mpisign: ") == 1
