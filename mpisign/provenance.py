"""Where a result comes from: versions, library, processor, hosts, command, git, date; and the batch job, if any.

The processor and BLAS's kernels for it are named since sums in BLAS depend on them to the last bit.
"""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from threadpoolctl import threadpool_info

from mpisign import __version__
from mpisign.ranks import Ranks

_PACKAGES = ("numpy", "numba", "scipy", "h5py", "mpi4py", "scikit-learn")


def provenance(ranks: Ranks, hosts: list[str]) -> dict[str, str]:
    """What is needed to run it again, as text; hosts: those of the ranks, which are asked for by every rank."""
    return {
        "mpisign": __version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "mpi": ranks.library,
        "mpi_threads": ranks.threads,
        "ranks": str(ranks.size),
        "hosts": " ".join(hosts),
        "machine": platform.machine(),
        "processor": _processor(),
        "blas": _blas(),
        "command": shlex.join(sys.argv),
        "folder": os.getcwd(),
        "job": os.environ.get("SLURM_JOB_ID", ""),
        "modules": os.environ.get("LOADEDMODULES", ""),
        "git": _git(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    """Its model, as Linux names it; elsewhere what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _blas() -> str:
    """The libraries of BLAS that are loaded, each with its version and the kernels it chose."""
    pools = (pool for pool in threadpool_info() if pool["user_api"] == "blas")
    return ", ".join(f"{pool['internal_api']} {pool['version']} {pool.get('architecture', '')}" for pool in pools)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _git() -> str:
    """The commit of the checkout that this package lies in, marked when it is changed; else "unknown"."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
