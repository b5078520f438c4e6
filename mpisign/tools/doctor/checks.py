"""Run all checks, one after the other; one that fails itself says so, and the next is done."""

from collections.abc import Callable, Iterator
from pathlib import Path

from mpisign.config.validation import InputError
from mpisign.tools.doctor import files, launchers, ranks, slurm, threads, versions
from mpisign.tools.doctor.check import Check, brief


def checks(folder: Path) -> Iterator[Check]:
    """Yield the results of all checks: the quick ones first, then those that start ranks.

    Args:
        folder: Where results will be written.
    """
    yield from _guarded("versions", versions.look)
    yield from _guarded("BLAS threads", threads.look)
    yield from _guarded("folder", lambda: files.look(folder))
    library = ""
    try:
        library = launchers.library()
        yield Check(f"mpi4py's library: {launchers.name(library)}")
    except InputError as error:
        yield Check(f"mpi4py's library: {error.complaint}", launchers.INSTALL)
    yield from _guarded("SLURM", lambda: slurm.look(library))
    yield from _guarded("launcher", lambda: launchers.look(library))
    yield from _guarded("ranks", ranks.look)


def _guarded(name: str, look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """Yield a section's results, a line each, and its own failure as one more: a doctor has no traceback."""
    try:
        for what, advice in look():
            yield Check(" ".join(what.split()), " ".join(advice.split()))
    except Exception as error:
        yield Check(
            f"{name}: {type(error).__name__}: {brief(str(error))}", "this check itself failed: please report it"
        )
