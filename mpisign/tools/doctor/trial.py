"""Start ranks for a trial, and read what they print."""

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
    """Return environment variables as a shell's export takes them."""
    return " ".join(f"{name}={value}" for name, value in variables.items())


_MORE_THAN_CORES = f"with Open MPI: mpisign launch -n N COMMAND, or export {_exported(MORE_THAN_CORES)}"


class Rank(NamedTuple):
    """What a rank of `mpisign.tools.doctor.rank` printed."""

    rank: int
    size: int
    host: str
    cores: list[int]


def by_mpiexec(count: int) -> list[Rank]:
    """Start ranks as a plain `mpiexec -n COUNT` does.

    Raises:
        InputError: If it does not start them.
    """
    try:
        return _heard(launch(count, _RANK, timeout=_TRIAL_SECONDS, scripted=False), "mpiexec", count)
    except subprocess.TimeoutExpired:
        raise InputError("mpiexec", f"no answer from its ranks in {_TRIAL_SECONDS:g} seconds") from None


def by_srun(count: int, kind: str) -> list[Rank]:
    """Start ranks as `srun --mpi=KIND -n COUNT` does in this allocation.

    Raises:
        InputError: If it does not start them.
    """
    return _heard(run_program(["srun", f"--mpi={kind}", "-n", str(count), *_RANK], _TRIAL_SECONDS), "srun", count)


def _heard(done: subprocess.CompletedProcess[str], launcher: str, count: int) -> list[Rank]:
    """Return what the ranks printed.

    Raises:
        InputError: If the launcher failed or not every rank was heard.
    """
    said = [line for line in done.stdout.splitlines() if line.startswith('{"rank"')]
    if done.returncode or len(said) != count:
        heard = f"status {done.returncode}, {len(said)} of {count} ranks were heard"
        raise InputError(launcher, f"{heard}: {brief(done.stderr)}")
    return [Rank(**json.loads(line)) for line in said]


def world(ranks: list[Rank]) -> int:
    """Return how many ranks reach each other: the size of the smallest world; 1 where one is alone."""
    return min(rank.size for rank in ranks)


def advice(complaint: str) -> str:
    """Return what to do where mpiexec does not start ranks."""
    if "slots" in complaint:
        return _MORE_THAN_CORES
    if "run as root" in complaint:
        return f"with Open MPI as root: mpisign launch -n N COMMAND, or export {_exported(AS_ROOT)}"
    if " bind" in complaint:
        return UNBOUND
    belong = "launcher and library have to be of one MPI, see above"
    return f"{belong}; where they are, mpisign launch -n N COMMAND, if its trial below succeeds"
