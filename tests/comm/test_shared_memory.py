"""A window of shared memory that is too large is never made: who writes to it would be killed."""

import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from launch import ROOT, environment, programs
from mpisign.aggregation import autotune
from mpisign.comm import mpi, shared_arrays
from mpisign.comm.communicator import SerialCommunicator
from mpisign.comm.shared_arrays import copied
from mpisign.config.validation import InputError
from mpisign.tools.doctor import ranks as doctor
from mpisign.tools.dryrun import report
from mpisign.tools.dryrun.mock_communicator import MockCommunicator


def one(monkeypatch, free):
    """A world of one rank, on a machine with so many bytes of shared memory."""
    monkeypatch.setattr(mpi, "room", lambda: free)
    made = object.__new__(mpi.MPICommunicator)
    made.rank, made.size = 0, 1
    made._least = lambda own: own
    made.__dict__["node"] = SimpleNamespace(root=True, _communicator=SimpleNamespace(bcast=lambda layout: layout))
    monkeypatch.setattr(
        mpi.MPICommunicator, "sync_errors", lambda ranks, complaint: SerialCommunicator().sync_errors(complaint)
    )
    return made


def test_data_without_room_are_copied(monkeypatch, capsys):
    data = {"rows": np.arange(1000.0)}
    found = one(monkeypatch, 8000).share(lambda: copied(data))
    assert (found["rows"] == data["rows"]).all()
    said = "/dev/shm has no room for 8000 bytes of data: each rank keeps a copy of its own"
    assert capsys.readouterr().err == f"mpisign: {said}; {shared_arrays.TO_DO}\n"


def test_a_window_without_room_is_refused(monkeypatch):
    with pytest.raises(InputError) as refused:
        one(monkeypatch, shared_arrays.MARGIN + 79)._window(10)
    assert str(refused.value).startswith("/dev/shm: no room on a node for 80 bytes that its ranks share; ")
    assert str(refused.value).endswith(", or take --exchange server")


def test_auto_does_not_take_it(monkeypatch):
    def plan(exchange):
        if exchange.args[0] == "node":
            raise InputError("/dev/shm", "no room")

    monkeypatch.setattr(autotune, "exchange_factory", lambda name, ranks: SimpleNamespace(args=[name]))
    monkeypatch.setattr(autotune, "_trial", lambda ranks, server: 1e-6)
    assert "node" not in autotune.choose("auto", MockCommunicator(0, 2), plan).why


@pytest.mark.parametrize(("free", "well"), [(2**26, False), (2**30, True), (None, None)])
def test_doctor_looks(free, well, monkeypatch):
    monkeypatch.setattr(shared_arrays, "room", lambda: free)
    assert [not check.advice for check in doctor._shared_memory()] == ([] if well is None else [well])


def test_the_dry_run_speaks_of_it(monkeypatch):
    held = SimpleNamespace(common=10**6)
    monkeypatch.setattr(report.memory, "held", lambda *arguments: held)
    asked, base = SimpleNamespace(plan=None, ranks=3), SimpleNamespace(data=2 * 10**6)
    monkeypatch.setattr(shared_arrays, "room", lambda: 10**7)
    assert not list(report._shared(asked, base))
    monkeypatch.setattr(shared_arrays, "room", lambda: 2 * 10**6)
    (line,) = report._shared(asked, base)
    assert line.startswith("/dev/shm: 2.0 MB are free, and ranks of one node would share 3.0 MB: ")


@pytest.mark.ranks
def test_a_small_dev_shm(tmp_path):
    """In a mount namespace of its own."""
    unshare = shutil.which("unshare")
    small = "mount -t tmpfs -o size=8m none /dev/shm"
    tried = unshare and subprocess.run([unshare, "-m", "sh", "-c", small], capture_output=True, text=True)
    if not tried or tried.returncode:
        pytest.skip(f"no mount namespace here: {tried.stderr if tried else 'no unshare'}")
    folder = programs("mpich")
    code = "import sys, numpy as np; from mpisign.comm.startup import connect; "
    code += "from mpisign.comm.shared_arrays import copied\n"
    # One write a line: print() may write the line's end apart, after what the other rank has written.
    code += "with connect() as ranks:\n"
    code += "    sys.stdout.write(f\"{ranks.share(lambda: copied({'x': np.ones(2**21)}))['x'].sum()}\\n\")"
    line = f'{small} && {folder}/mpiexec -n 2 {folder}/python -m mpi4py -c "$CODE"'
    done = subprocess.run(
        [unshare, "-m", "sh", "-c", line],
        env=environment(CODE=code, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (0, 2 * f"{2.0**21}\n")
    assert done.stderr.startswith(f"mpisign: /dev/shm has no room for {2**24} bytes of data")
    assert done.stderr.count("\n") == 1
