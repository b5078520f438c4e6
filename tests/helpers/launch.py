"""Run mpisign as a user does: in a process of its own, alone or under a launcher."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import forked
from mpisign.comm.launcher import ONE_MACHINE, PREFIXES

ROOT = Path(__file__).parents[2]
HELPERS = f"{Path(__file__).parent}{os.pathsep}{ROOT}"
"""The PYTHONPATH of plug-ins in this folder, and of this checkout, whatever is installed."""
_MPIS = {"mpich": Path(sys.executable).parent, "openmpi": Path(os.environ.get("MPISIGN_OPENMPI_BIN", "/nowhere"))}


marked = False
"""Whether the test that runs is marked `ranks`; set by conftest.py."""


def environment(**extra):
    """This environment without what a launcher put into it, with the settings for more ranks than cores on one
    machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIXES)}
    shared_cores = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        **ONE_MACHINE,
    }
    return kept | shared_cores | extra


def programs(mpi):
    """The folder with `python` and `mpiexec` of an MPI; skips the test, saying so, where it is not there."""
    assert marked, "a test that starts ranks is marked with pytest.mark.ranks: it needs both cores"
    folder = _MPIS[mpi]
    if not (folder / "mpiexec").exists():
        pytest.skip(f"no {mpi} environment; `bash tests/run.sh` makes both")
    return folder


def call(command, *, timeout=240, cwd=ROOT, **extra):
    """Run a command to its end; returns the finished process with its text output."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment(**extra),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def mpisign(*arguments, timeout=240, cwd=ROOT, real=False, **extra):
    """`mpisign ARGUMENTS` in one process, which is forked (`forked.py`).

    A `real` one, whose start or end a test is about, starts from nothing, as does one with variables that are read when
    modules are imported.
    """
    if real or forked.read_at_import(extra):
        return call([sys.executable, "-m", "mpisign", *arguments], timeout=timeout, cwd=cwd, **extra)
    return forked.run([str(part) for part in arguments], cwd, environment(**extra), timeout)


def mpirun(mpi, ranks, *arguments, options=(), real=False, **more):
    """`mpiexec OPTIONS -n RANKS python -m mpi4py -m mpisign ARGUMENTS`.

    Each rank is forked (`forked.py`): `real` ones, whose end or signals a test is about, start from nothing, as do
    those for whom options of the launcher set what is read when modules are imported.
    """
    folder = programs(mpi)
    python = [folder / "python"] if real or options else python_of_ranks(mpi, **more)
    return call(
        [folder / "mpiexec", *options, "-n", ranks, *python, "-m", "mpi4py", "-m", "mpisign", *arguments], **more
    )


def python_of_ranks(mpi, **more):
    """What stands for `python` in a launcher's command, quickly; variables read by imports take the interpreter."""
    python = programs(mpi) / "python"
    return [python] if forked.read_at_import(more) else forked.rank(python, environment())
