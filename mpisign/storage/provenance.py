"""Collect where a result comes from: versions, library, processor, hosts, command, git, date, and the batch job if any.

The processor and BLAS's kernels for it are named since sums in BLAS depend on them to the last bit.
"""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from threadpoolctl import threadpool_info

from mpisign._version import __version__
from mpisign.comm.communicator import Communicator
from mpisign.fixed_order import keeps_subnormals

_PACKAGES = ("numpy", "numba", "scipy", "h5py", "mpi4py", "scikit-learn")


FLUSHES = "subnormal numbers become 0"


class Sites(NamedTuple):
    """Where each rank runs.

    Attributes:
        hosts: its host.
        arithmetic: what it computes with, as `arithmetic` says it.
    """

    hosts: list[str]
    arithmetic: list[str]


def sites(ranks: Communicator) -> Sites:
    """Return where each rank runs; every rank calls it."""
    return Sites(ranks.hosts(), ranks.texts(arithmetic()))


def arithmetic() -> str:
    """Return what this process computes with: its processor, BLAS's kernels, and whether small numbers are kept."""
    return "; ".join([_processor(), _kernels(), *([] if keeps_subnormals() else [FLUSHES])])


def _kernels() -> str:
    """Return the kernels of numpy's BLAS, by which records are computed.

    Other libraries, such as scipy's, are loaded when they are first used: by now on some ranks, on others not yet.
    """
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    of_numpy = [pool for pool in pools if "numpy" in pool["filepath"]] or pools
    return "BLAS kernels " + ", ".join(sorted({str(pool.get("architecture", "")) for pool in of_numpy}))


def unlike(texts: list[str]) -> str:
    """Return which ranks have which of several texts, "" where all have the same."""
    ranks = {text: [rank for rank, own in enumerate(texts) if own == text] for text in texts}
    parts = [f"rank {', '.join(map(str, those))}: {text}" for text, those in ranks.items()]
    return " | ".join(parts) if len(parts) > 1 else ""


def warnings(where: Sites) -> Iterator[str]:
    """Yield what is to be said once of ranks whose arithmetic is not as expected."""
    flushing = [rank for rank, text in enumerate(where.arithmetic) if FLUSHES in text]
    if flushing:
        who = f"rank {', '.join(map(str, flushing))}" if len(where.arithmetic) > 1 else "this process"
        yield f"{who}: {FLUSHES}, as a library built with -ffast-math sets it: x may differ where gradients are tiny"
    if apart := unlike(where.arithmetic):
        yield f"ranks on unlike processors: x is the same, recorded values may differ in their last digits: {apart}"


def provenance(ranks: Communicator, where: Sites) -> dict[str, str]:
    """Return what is needed to run it again, as text; where: `sites`, for which every rank has to be asked."""
    return {
        "mpisign": __version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "mpi": ranks.library,
        "mpi_threads": ranks.threads,
        "ranks": str(ranks.size),
        "hosts": " ".join(where.hosts),
        "machine": platform.machine(),
        "processor": _processor(),
        "blas": _blas(),
        "subnormals": "become 0" if any(FLUSHES in text for text in where.arithmetic) else "kept",
        "unlike_ranks": unlike(where.arithmetic),
        "command": shlex.join(sys.argv),
        "folder": os.getcwd(),
        "job": os.environ.get("SLURM_JOB_ID", ""),
        "modules": os.environ.get("LOADEDMODULES", ""),
        "git": _git(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    """Return the processor's model, as Linux names it; elsewhere what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _blas() -> str:
    """Return the libraries of BLAS that are loaded, each with its version and the kernels it chose.

    They are sorted: ranks load them in another order than one process does.
    """
    pools = (pool for pool in threadpool_info() if pool["user_api"] == "blas")
    named = (f"{pool['internal_api']} {pool['version']} {pool.get('architecture', '')}" for pool in pools)
    return ", ".join(sorted(named))


def _version(package: str) -> str:
    """Return the version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _git() -> str:
    """Return the commit of the checkout that this package lies in, marked when it is changed; else "unknown"."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
