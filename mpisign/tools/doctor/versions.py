"""Check the versions of what a result depends on, against those that this package requires."""

import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from mpisign._version import __version__
from mpisign.fixed_order import keeps_subnormals
from mpisign.tools.doctor.check import Check

_PACKAGES = ("numpy", "numba", "scipy", "h5py", "threadpoolctl", "mpi4py")


def look() -> Iterator[Check]:
    """Yield a line for Python and this package, and one for each package that it needs."""
    yield Check(f"mpisign {__version__}, python {platform.python_version()}")
    kept = keeps_subnormals()
    advice = "" if kept else "a library has set flush-to-zero: find the one that was built with -ffast-math"
    yield Check(f"numbers below 2.2e-308: {'kept' if kept else 'become 0'}", advice)
    least = _least()
    for name in _PACKAGES:
        yield _package(name, least.get(name, "0"))


def _package(name: str, least: str) -> Check:
    """Check the version of one package."""
    try:
        found = version(name)
    except PackageNotFoundError:
        extra = "; without ranks it is not needed" if name == "mpi4py" else ""
        return Check(f"{name}: not installed", f"pip install '{name}>={least}'{extra}")
    advice = f"pip install '{name}>={least}'" if _numbers(found) < _numbers(least) else ""
    return Check(f"{name} {found}{_inside(name)}", advice)


def _inside(name: str) -> str:
    """Return the version of HDF5 inside h5py, or "" for other packages."""
    if name != "h5py":
        return ""
    from mpisign.tools.doctor.files import hdf5_version

    return f" with HDF5 {hdf5_version()}"


def _least() -> dict[str, str]:
    """Return the least version of each package that the installed metadata require."""
    try:
        asked = requires("mpisign") or []
    except PackageNotFoundError:
        return {}
    found = (re.match(r"([\w-]+)\s*>=\s*([\d.]+)", requirement) for requirement in asked)
    return {match[1].lower(): match[2] for match in found if match}


def _numbers(text: str) -> tuple[int, ...]:
    """Return the first three numbers of a version."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
