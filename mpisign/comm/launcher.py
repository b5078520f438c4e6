"""Start ranks from Python: a command under `mpiexec`, as `launch` of jobs/environment.sh does it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from mpisign.config.validation import InputError
from mpisign.process_rank import RANK_VARIABLES

PREFIXES = ("OMPI_", "PMIX_", "PMI_", "PRTE_", "MPIR_", "HYDI_", "HYDRA_", "MPI_LOCAL")
"""How the variables begin that launchers give to the ranks they start."""

ONE_MACHINE = {"OMPI_MCA_btl": "^ofi", "OMPI_MCA_osc": "^ucx"}
"""What is left out of Open MPI 5 where all ranks are on one machine, which need neither.

Its libfabric transport sleeps for a second while it looks for a fabric, and its UCX windows complain of themselves.
"""
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
MORE_THAN_CORES = {
    "OMPI_MCA_rmaps_base_oversubscribe": "1",  # Open MPI 4
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",  # Open MPI 5
    "OMPI_MCA_mpi_yield_when_idle": "1",
}
"""What Open MPI needs to start more ranks than there are cores, and for one that waits to let others have its core.

MPICH does both unasked.
"""
_GRACE = 10.0
"""Seconds a launcher has to end its ranks, once it is asked to."""


def launch(
    ranks: int,
    command: list[str],
    *,
    timeout: float,
    cwd: Path | None = None,
    scripted: bool = True,
    extra: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `mpiexec -n RANKS COMMAND` to its end, whatever its status; its output is captured as text.

    Args:
        ranks: how many ranks.
        command: what each rank runs.
        timeout: seconds.
        cwd: the folder to run in.
        scripted: whether with the settings of `environment`; otherwise as a plain `mpiexec` in this shell.
        extra: variables of the environment.

    Raises:
        InputError: there is no mpiexec.
        subprocess.TimeoutExpired: it takes longer; its ranks are ended then.
    """
    line = [str(mpiexec()), "-n", str(ranks), *command]
    surroundings = environment(ranks, os.environ) if scripted else without_launcher(os.environ)
    pipe, surroundings = subprocess.PIPE, surroundings | dict(extra or {})
    with subprocess.Popen(
        line, cwd=cwd, env=surroundings, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException:
            _end(process)
            raise
    return subprocess.CompletedProcess(line, process.returncode, output, errors)


def mpiexec() -> Path:
    """Return the launcher beside this interpreter, where an MPI's wheel puts it, or else on PATH.

    Raises:
        InputError: there is none.
    """
    beside = Path(sys.executable).parent / "mpiexec"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("mpiexec")
    if found is None:
        raise InputError("launcher", f"expected mpiexec beside {sys.executable} or on PATH, found none")
    return Path(found)


def environment(ranks: int, variables: Mapping[str, str]) -> dict[str, str]:
    """Return `variables` for so many ranks: with what Open MPI needs as root, on one machine and on too few cores.

    Where this process is itself a rank, what its launcher gave it is left out.
    """
    kept = without_launcher(variables)
    as_root = AS_ROOT if os.geteuid() == 0 else {}
    quick = ONE_MACHINE if ranks > 1 and variables.get("SLURM_JOB_NUM_NODES", "1") == "1" else {}
    return quick | kept | as_root | (MORE_THAN_CORES if ranks > cores() else {})


def without_launcher(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without what a launcher gave this process, where it is itself a rank."""
    inside = any(name in variables for name in RANK_VARIABLES)
    return {name: value for name, value in variables.items() if not (inside and name.startswith(PREFIXES))}


def become(ranks: int, command: list[str]) -> NoReturn:
    """Replace this program by `mpiexec -n RANKS COMMAND`, with the settings of `environment`."""
    line = [str(mpiexec()), "-n", str(ranks), *command]
    os.execve(line[0], line, environment(ranks, os.environ))


def cores() -> int:
    """Return how many cores this process may use."""
    return len(own_cores())


def own_cores() -> set[int]:
    """Return the numbers of the cores that this process may use."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _end(process: subprocess.Popen[str]) -> None:
    """End a launcher so that it ends its ranks; killed at once it might leave them behind."""
    process.terminate()
    try:
        process.communicate(timeout=_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
