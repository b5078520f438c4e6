"""Check whether ranks reach each other, on which cores, and how fast a round is.

They are started as a plain `mpirun` does it, and as the launch scripts do.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mpisign.comm import shared_arrays
from mpisign.comm.launcher import cores, launch, mpiexec
from mpisign.config.validation import InputError
from mpisign.tools.bench import results_file
from mpisign.tools.bench.rounds import WHOLE
from mpisign.tools.doctor import trial
from mpisign.tools.doctor.check import Check, brief, say
from mpisign.tools.doctor.launchers import library, make

_ROUNDS_SECONDS = 120.0
FEW = 16
"""Cores up to which ranks are likely to share them."""

_LITTLE = 2**27
"""Bytes of shared memory below which a data set of usual size has no room: twice what Docker gives."""

_LOWER = "unset MPI4PY_RC_THREAD_LEVEL: below multiple, waiting ranks may keep the core that others need, as MPICH's do"
_CROWDED = "all ranks are bound to one core: {}, or ask the batch system for a core a task"
_SLOW = 1e-3
"""Seconds of a small round from which on ranks that wait must be in the way of those that work."""


def look() -> Iterator[Check]:
    """Check the cores, and rounds on two ranks and on more ranks than cores; no ranks where there is no launcher."""
    usable = cores()
    yield _cores(usable, os.cpu_count() or 1)
    yield _load(usable)
    try:
        mpiexec()
        yield from _shared_memory()
        say("starting 2 ranks")
        pair = trial.by_mpiexec(2)
    except InputError as error:
        if error.key != "launcher":  # there is none, which was said already
            plain = f"a plain mpirun fails here: {trial.advice(error.complaint)}"
            yield Check(f"2 ranks, by a plain mpirun: {error.complaint}", plain)
            yield from _rounds(2, "by `mpisign launch -n 2`", scripted=True)
        return
    if trial.world(pair) == 1:
        alone = "2 ranks, by a plain mpirun: each is alone in a world of its own"
        yield Check(alone, "launcher and library do not belong together: see above")
        return
    yield _binding(pair, usable)
    yield from _rounds(2, "by a plain mpirun", scripted=False)
    if usable <= FEW:
        yield from _rounds(usable + 2, "more than cores, by a plain mpirun", scripted=False)
        yield from _rounds(usable + 2, "more than cores, by the launch scripts", scripted=True)


def _cores(usable: int, there: int) -> Check:
    """Check how many of the machine's cores this shell may use; a batch system's allocation may be a part of them."""
    what = f"cores: {usable} of {there}"
    if usable == there:
        return Check(what)
    if "SLURM_JOB_ID" in os.environ:
        return Check(f"{what}, those of this allocation")
    shell = f"this shell may use {usable} of {there} cores, and so may its ranks"
    return Check(what, f"{shell}; taskset -p $$ shows which, a new shell has all")


def _load(usable: int) -> Check:
    """Check whether other programs are at work: a round waits for the last of its ranks, each of which for a core."""
    load = os.getloadavg()[0]
    busy = f"other programs are at work: ranks wait for cores, times say little; fewer ranks than {usable}, or later"
    return Check(f"load: {load:.1f} of {usable} cores, over the last minute", busy if load > usable / 2 else "")


def _shared_memory() -> Iterator[Check]:
    """Check the room for what the ranks of a node share; containers are often given 64 MB."""
    free = shared_arrays.room()
    if free is not None:
        small = f"data beyond that are kept once a rank, not once a node: {shared_arrays.TO_DO}"
        yield Check(
            f"shared memory: {free / 1e6:.0f} MB free in {shared_arrays.SHARED}", small if free < _LITTLE else ""
        )


def _binding(pair: list[trial.Rank], usable: int) -> Check:
    """Check which cores the ranks may use."""
    seen = {(rank.host, *rank.cores) for rank in pair}
    each = ", ".join(f"rank {rank.rank} {_few(rank.cores)}" for rank in sorted(pair))
    together = {(rank.host, core) for rank in pair for core in rank.cores}
    crowded = len(together) < len(pair) and usable > 1
    how = "all on the same" if crowded else "each bound to its own" if len(seen) == len(pair) else "not bound"
    return Check(f"cores of each rank: {each}; {how}", _CROWDED.format(_unbound()) if crowded else "")


def _unbound() -> str:
    """Return how ranks are started unbound, by the MPI that mpi4py loads."""
    try:
        mpi = make(library())
    except InputError:
        mpi = ""
    return "mpiexec -bind-to none -n N COMMAND" if mpi == "MPICH" else trial.UNBOUND


def _few(numbers: list[int]) -> str:
    """Return the first numbers of a list, and how many there are where it is long."""
    shown = ",".join(map(str, numbers[:8]))
    return f"{shown},... ({len(numbers)})" if len(numbers) > 8 else shown


def _rounds(ranks: int, how: str, scripted: bool) -> Iterator[Check]:
    """Check that ranks reach each other, their level of MPI threads, and the time of a round."""
    what = f"{ranks} ranks, {how}"
    say(f"measuring rounds on {what}")
    try:
        found = _measured(ranks, scripted)
    except InputError as error:
        yield Check(f"{what}: {error.complaint}", "see above" if scripted else trial.advice(error.complaint))
        return
    seconds = statistics.median(time.median for time in found.times if (time.what, time.exchange) == (WHOLE, "server"))
    yield Check(f"{what}: {found.machine['mpi']}, they reach each other")
    level = found.machine["mpi_threads"]
    yield Check(f"{what}: MPI threads {level}", "" if level == "multiple" else _LOWER)
    slow = _starving(str(found.machine["mpi"])) if seconds > _SLOW else ""
    yield Check(f"{what}: {1e6 * seconds:.3g} microseconds a round", slow)


def _starving(mpi: str) -> str:
    """Return what to do where rounds are slow, by the MPI that ran them."""
    yields = " see that OMPI_MCA_mpi_yield_when_idle is not 0," if make(mpi) == "Open MPI" else ""
    return f"ranks starve each other: end what else runs,{yields} or take fewer ranks"


def _measured(ranks: int, scripted: bool) -> results_file.Record:
    """Return the benchmark of small rounds on so many ranks.

    Raises:
        InputError: If ranks cannot be started or do not reach each other.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "rounds.json"
        bench = ["bench", "--only", "rounds", "--quick", "--dimensions", "2000", "-o", str(output)]
        command = [sys.executable, "-m", "mpi4py", "-m", "mpisign", *bench]
        try:
            done = launch(ranks, command, timeout=_ROUNDS_SECONDS, scripted=scripted)
        except subprocess.TimeoutExpired:
            raise InputError("", f"no end of a few rounds in {_ROUNDS_SECONDS:g} seconds") from None
        if done.returncode:
            raise InputError("", f"mpiexec ended with status {done.returncode}: {brief(done.stderr)}")
        return results_file.read(output)
