"""Where a result comes from: versions, library, hosts, command, git, date."""

import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mpisign import __version__
from mpisign.ranks import Ranks

_PACKAGES = ("numpy", "numba", "scipy", "h5py", "mpi4py", "scikit-learn")


def provenance(ranks: Ranks) -> dict[str, str]:
    """What is needed to run it again, as text; every rank calls it."""
    return {
        "mpisign": __version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "mpi": ranks.library,
        "mpi_threads": ranks.threads,
        "ranks": str(ranks.size),
        "hosts": " ".join(ranks.hosts()),
        "machine": platform.machine(),
        "command": " ".join(sys.argv),
        "git": _git(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


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
