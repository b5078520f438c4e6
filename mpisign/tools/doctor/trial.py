"""Ranks that are started for a trial, and what they said."""

import json
import subprocess
import sys
from typing import NamedTuple

from mpisign.comm.launcher import AS_ROOT, MORE_THAN_CORES, launch
from mpisign.config.validation import InputError
from mpisign.tools.doctor.check import brief, run_program

_TRIAL_SECONDS = 60.0
_RANK = [sys.executable, "-m", "mpi4py", "-m", "mpisign.tools.doctor.rank"]


UNBOUND = (
    "export PRTE_MCA_hwloc_default_binding_policy=none (Open MPI 5) or OMPI_MCA_hwloc_base_binding_policy=none (4)"
)


def _exported(variables: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in variables.items())


_MORE_THAN_CORES = f"with Open MPI: mpisign launch -n N COMMAND, or export {_exported(MORE_THAN_CORES)}"


class Rank(NamedTuple):
    """What a rank of `mpisign.tools.doctor.rank` said."""

    rank: int
    size: int
    host: str
    cores: list[int]


def by_mpiexec(count: int) -> list[Rank]:
    """As a plain `mpiexec -n COUNT` starts them; raises InputError where it does not."""
    try:
        return _heard(launch(count, _RANK, timeout=_TRIAL_SECONDS, scripted=False), "mpiexec", count)
    except subprocess.TimeoutExpired:
        raise InputError("mpiexec", f"no answer from its ranks in {_TRIAL_SECONDS:g} seconds") from None


def by_srun(count: int, kind: str) -> list[Rank]:
    """As `srun --mpi=KIND -n COUNT` starts them in this allocation; raises InputError where it does not."""
    return _heard(run_program(["srun", f"--mpi={kind}", "-n", str(count), *_RANK], _TRIAL_SECONDS), "srun", count)


def _heard(done: subprocess.CompletedProcess[str], launcher: str, count: int) -> list[Rank]:
    said = [line for line in done.stdout.splitlines() if line.startswith('{"rank"')]
    if done.returncode or len(said) != count:
        heard = f"status {done.returncode}, {len(said)} of {count} ranks were heard"
        raise InputError(launcher, f"{heard}: {brief(done.stderr)}")
    return [Rank(**json.loads(line)) for line in said]


def world(ranks: list[Rank]) -> int:
    """How many ranks reach each other: the size of their world; 1 where each is alone."""
    return min(rank.size for rank in ranks)


def advice(complaint: str) -> str:
    """What to do where mpiexec does not start ranks."""
    if "slots" in complaint:
        return _MORE_THAN_CORES
    if "run as root" in complaint:
        return f"with Open MPI as root: mpisign launch -n N COMMAND, or export {_exported(AS_ROOT)}"
    if " bind" in complaint:
        return UNBOUND
    belong = "launcher and library have to be of one MPI, see above"
    return f"{belong}; where they are, mpisign launch -n N COMMAND, if its trial below succeeds"
