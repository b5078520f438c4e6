"""Find the ranks that this process was started with, and leave them."""

import atexit
import os
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

from mpisign.comm.communicator import Communicator, LendingCommunicator, SerialCommunicator
from mpisign.config.validation import InputError
from mpisign.process_rank import first_process

_SIZE_VARIABLES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")


def connect() -> Communicator:
    """Return the ranks that this process was started with: MPI's where a launcher or `-m mpi4py` says so.

    Raises:
        InputError: a launcher started several processes and the MPI library believes that each is alone: all of them
            would compute the same and write the same file.
    """
    started = _started()
    if started == 1 and "mpi4py" not in sys.modules:
        return SerialCommunicator()
    ranks = _world(started)
    if started > 1 and ranks.size == 1:
        raise InputError(
            "launcher",
            f"it started {started} processes, but each is alone to mpi4py's library ({ranks.library}); "
            "expected the mpirun or srun --mpi type of that same library",
        )
    return ranks


def for_jobs(jobs: int, ranks: Communicator, key: str = "jobs") -> AbstractContextManager[Communicator]:
    """Return these ranks; where one process will start others, it has its data where they can map them.

    Args:
        jobs: how many processes will run repeats.
        ranks: the ranks that this process was started with.
        key: what the number is called, for the complaint.

    Raises:
        InputError: several ranks would start processes.
    """
    if jobs > 1 and ranks.size > 1:
        raise InputError(key, f"expected one process, got {ranks.size} ranks of a launcher; --teams is for those")
    return LendingCommunicator() if jobs > 1 and isinstance(ranks, SerialCommunicator) else nullcontext(ranks)


_ranks: list[Communicator] = []


def connected() -> Communicator:
    """Return the ranks of a script or notebook, connected once; MPI is ended when Python is."""
    if not _ranks:
        _ranks.append(connect())
        atexit.register(leave)
        if _ranks[0].size > 1:
            sys.excepthook = _end_all_ranks
    return _ranks[0]


def _end_all_ranks(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """End all ranks for an error that one of them did not catch: the others would wait for it in their next call."""
    try:
        _ranks[0].__exit__(kind, error, trace)
    except BaseException:  # MPICH's Abort may return before the launcher ends this rank; all is said
        os._exit(1)
    sys.__excepthook__(kind, error, trace)  # an InputError, which every rank has


def leave() -> None:
    """Wait for the other ranks and end MPI: a launcher ends all ranks when one of them exits with a status."""
    if _started() == 1 and "mpi4py.MPI" not in sys.modules:
        return
    try:
        ranks = connect()
    except InputError:  # the ranks cannot reach each other: the first one has a second to speak
        time.sleep(0 if first_process() else 1)
    else:
        if not ranks.whole:  # Open MPI's Finalize waits for ranks that are lost, once in forty times for ever
            return
        ranks.sync_errors(None)
    if "mpi4py.MPI" in sys.modules:
        sys.modules["mpi4py.MPI"].Finalize()


def _started() -> int:
    """Return how many processes the launcher says it started; 1 where there is none."""
    sizes = (os.environ.get(name, "") for name in _SIZE_VARIABLES)
    return max(int(size) if size.isdecimal() else 1 for size in sizes)


def _world(started: int) -> Communicator:
    """Return MPI's ranks; raise InputError if mpi4py cannot load MPI."""
    try:
        # At mpi4py's own thread level, MPI_THREAD_MULTIPLE: at a lower one MPICH's waiting ranks spin without yielding,
        # which makes an iteration a hundred times slower where ranks share cores.
        import mpi4py

        from mpisign.comm.mpi import ULFM, MPICommunicator

        if ULFM:
            mpi4py.rc.finalize = False  # `leave` ends MPI, unless a rank was lost; the end of the process does not
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        what = f"mpi4py cannot load MPI: {error}; mpisign doctor says what to install"
        key, what = ("launcher", f"it started {started} processes, but {what}") if started > 1 else ("", what)
        raise InputError(key, what) from None
    return MPICommunicator(MPI.COMM_WORLD)
