"""Write the commands that start a job on as many ranks as it wants, with the options that the dry run was given."""

import math
import shlex
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from mpisign.comm.launcher import mpiexec
from mpisign.config.validation import InputError

_NOT_PASSED_ON = ("job", "output", "dry_run", "jobs")
_NOT_IN_A_BATCH = (*_NOT_PASSED_ON, "overwrite", "resume")
"""Options that are not passed on to a batch script, which resumes the output that is there."""


SCRIPT = "jobs/slurm/experiment.sbatch"
"""The script for SLURM, which a checkout has."""


def lines(options: dict[str, Any], ranks: int, seconds: float, held: int) -> Iterator[str]:
    """Yield the commands whose launcher or script is there; the arguments are those of `mpirun` and `sbatch`."""
    try:
        mpiexec()
        yield mpirun(options, ranks)
    except InputError:
        yield f"{ranks} ranks need a launcher, and none is here: mpisign doctor says what to install"
    if Path(SCRIPT).is_file():
        yield sbatch(options, ranks, seconds, held)


def mpirun(options: dict[str, Any], ranks: int) -> str:
    """Return the command that starts the job by mpirun.

    Args:
        options: The job, the output, and those options of `mpisign run` that are not at their defaults, by name.
        ranks: M + 1 for the largest M.
    """
    run = shlex.join(["run", str(options["job"]), "-o", str(options["output"]), *given(options, _NOT_PASSED_ON)])
    # the launcher of an MPI's wheel is beside Python, and need not be on PATH
    typed = "mpirun" if shutil.which("mpirun") or options.get("on_failure") == "continue" else "mpisign launch"
    return f"{_launcher(options, typed)} -n {ranks} python -m mpi4py -m mpisign {run}"


def sbatch(options: dict[str, Any], ranks: int, seconds: float, held: int) -> str:
    """Return the command that submits the job to SLURM.

    Args:
        options: As for `mpirun`.
        ranks: Number of tasks.
        seconds: The estimate; twice that and ten minutes are asked for.
        held: Bytes of a node; a quarter more is asked for.
    """
    asked = f"--ntasks={ranks} --time={time_limit(2 * seconds + 600)} --mem={math.ceil(1.25 * held / 2**20)}M"
    job = shlex.join([str(options["job"]), str(options["output"]), *given(options, _NOT_IN_A_BATCH)])
    launch = _launcher(options, "mpiexec")
    by = "" if launch == "mpiexec" else f"LAUNCH={shlex.quote(launch)} "
    return f"{by}sbatch {asked} {SCRIPT} {job}"


def _launcher(options: dict[str, Any], launcher: str) -> str:
    """Return the launcher; Open MPI's ranks outlive a lost one only where its launcher is told so."""
    return f"{launcher} --with-ft ulfm" if options.get("on_failure") == "continue" else launcher


def given(options: dict[str, Any], left_out: Collection[str]) -> list[str]:
    """Return the options, except those left out, as they would be typed."""
    return [word for name, value in options.items() if name not in left_out for word in _typed(name, value)]


def _typed(name: str, value: object) -> Iterator[str]:
    """Yield the words of one option."""
    flag = f"--{name.replace('_', '-')}"
    if value is True:
        yield flag
    elif isinstance(value, list):
        for one in value:
            yield from (flag, str(one))
    else:
        yield from (flag, str(value))


def time_limit(seconds: float) -> str:
    """Return whole minutes, rounded up, as SLURM writes a time limit: D-HH:MM:SS."""
    minutes = math.ceil(seconds / 60)
    days, hours = divmod(minutes // 60, 24)
    return f"{f'{days}-' if days else ''}{hours:02d}:{minutes % 60:02d}:00"
