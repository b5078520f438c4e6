"""The ranks and their collectives: one process, or MPI. The only room that knows mpi4py.

Both give the same four calls, so that nothing above knows which it has. A table is a uint64 matrix of message
rows: a rank's own rows, and on the root every rank's, in the order of the ranks.
"""

import itertools
import math
import os
import platform
import sys
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

import numpy as np

from mpisign.arrays import Bytes, Words
from mpisign.settings import BadInput
from mpisign.sharing import Arrays, Layout, Opened, unshared

if TYPE_CHECKING:
    from mpi4py import MPI


class Ranks(ABC):
    """Who takes part: `size` ranks, of which this process is number `rank`; rank 0 is the root."""

    rank: int
    size: int
    library: str

    @property
    def root(self) -> bool:
        return self.rank == 0

    def table(self, rows: int, columns: int) -> Words:
        """Room for `rows` message rows of this rank; on the root for those of all ranks."""
        return np.zeros((rows * (self.size if self.root else 1), columns), dtype=np.uint64)

    @abstractmethod
    def gather(self, table: Words) -> None:
        """Fill the root's table with every rank's rows; the root's own are its first."""

    @abstractmethod
    def broadcast(self, row: Words) -> None:
        """Overwrite `row` on every rank with the root's."""

    @abstractmethod
    def share(self, opening: Callable[[], Opened]) -> Arrays:
        """Arrays that a machine holds once; see `mpisign.sharing.Share`."""

    @abstractmethod
    def hosts(self) -> list[str]:
        """The machine of each rank, in their order; every rank calls it."""

    @abstractmethod
    def agree(self, complaint: BadInput | None) -> None:
        """Raise on every rank the first complaint that any rank has; return when none has one."""

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave together: nobody waits for a rank that failed."""


class Alone(Ranks):
    """One process, which is server and all workers. mpi4py is not imported."""

    rank, size, library = 0, 1, "none (one process)"

    def gather(self, table: Words) -> None:
        pass

    def broadcast(self, row: Words) -> None:
        pass

    def share(self, opening: Callable[[], Opened]) -> Arrays:
        return unshared(opening)

    def hosts(self) -> list[str]:
        return [platform.node()]

    def agree(self, complaint: BadInput | None) -> None:
        if complaint is not None:
            raise complaint

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class World(Ranks):
    """The ranks of an MPI communicator."""

    def __init__(self, communicator: "MPI.Intracomm"):
        from mpi4py import MPI

        self._mpi, self._communicator = MPI, communicator
        self._windows: list[MPI.Win] = []
        self.rank, self.size = communicator.rank, communicator.size
        self.library = MPI.Get_library_version().splitlines()[0].strip("\0 ")

    def gather(self, table: Words) -> None:
        if self.root:
            self._communicator.Gather(self._mpi.IN_PLACE, _bytes(table), root=0)
        else:
            self._communicator.Gather(_bytes(table), None, root=0)

    def broadcast(self, row: Words) -> None:
        self._communicator.Bcast(_bytes(row), root=0)

    def share(self, opening: Callable[[], Opened]) -> Arrays:
        """One window of memory a node, filled by its first rank."""
        self.agree(None)  # meets the ranks that have a complaint already and do not come here
        node = self._mpi.Intracomm(self._communicator.Split_type(self._mpi.COMM_TYPE_SHARED))
        layout, fill = self._first_of(node, opening)
        arrays = self._window(node, layout)
        complaint = None
        try:
            if fill is not None:
                fill(arrays)
        except BadInput as error:
            complaint = error
        self.agree(complaint)
        return arrays

    def _first_of(
        self, node: "MPI.Intracomm", opening: Callable[[], Opened]
    ) -> tuple[Layout, Callable[[Arrays], None] | None]:
        """The layout, on every rank of a node; on its first one also what fills the arrays."""
        layout, fill, complaint = None, None, None
        try:
            if node.rank == 0:
                layout, fill = opening()
        except BadInput as error:
            complaint = error
        self.agree(complaint)
        return node.bcast(layout), fill

    def _window(self, node: "MPI.Intracomm", layout: Layout) -> Arrays:
        *starts, size = _offsets(layout)
        window = self._mpi.Win.Allocate_shared(size if node.rank == 0 else 0, 1, comm=node)
        self._windows.append(window)
        memory = np.asarray(window.Shared_query(0)[0], dtype=np.uint8)
        parts = zip(starts, layout.items(), strict=True)
        return {name: np.ndarray(shape, dtype, memory.data, start) for start, (name, (shape, dtype)) in parts}

    def hosts(self) -> list[str]:
        return self._communicator.allgather(platform.node())

    def agree(self, complaint: BadInput | None) -> None:
        failing = self._communicator.allreduce(self.size if complaint is None else self.rank, self._mpi.MIN)
        if failing < self.size:
            parts = None if complaint is None else (complaint.key, complaint.complaint)
            raise BadInput(*self._communicator.bcast(parts, root=failing))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """An error that not every rank has (anything but BadInput) ends all of them, at once."""
        if error is not None and not isinstance(error, BadInput | SystemExit):
            self._abort(error)
        for window in self._windows:
            window.Free()

    def _abort(self, error: BaseException) -> NoReturn:
        sys.stdout.flush()
        traceback.print_exception(error)
        print(f"mpisign: rank {self.rank} failed: {error}; ending all ranks", file=sys.stderr, flush=True)
        self._communicator.Abort(1)
        raise error


def _offsets(layout: Layout) -> list[int]:
    """Where each array begins, on lines of 64 bytes, and how many bytes they take together."""
    sizes = (-(-math.prod(shape) * dtype.itemsize // 64) * 64 for shape, dtype in layout.values())
    return list(itertools.accumulate(sizes, initial=0))


def _bytes(words: Words) -> Bytes:
    return words.view(np.uint8)


_SIZE_VARIABLES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
_RANK_VARIABLES = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")


def connect() -> Ranks:
    """The ranks that this process was started with: MPI's where a launcher or `-m mpi4py` says so.

    Raises BadInput where a launcher started several processes and the MPI library believes that each is alone:
    all of them would compute the same and write the same file.
    """
    started = _started()
    if started == 1 and "mpi4py" not in sys.modules:
        return Alone()
    ranks = _world(started)
    if started > 1 and ranks.size == 1:
        raise BadInput(
            "launcher",
            f"it started {started} processes, but each is alone to mpi4py's library ({ranks.library}); "
            "expected the mpirun or srun --mpi type of that same library",
        )
    return ranks


def leave() -> None:
    """Wait for the other ranks and end MPI: a launcher ends all ranks when one of them exits with a status."""
    if _started() == 1 and "mpi4py.MPI" not in sys.modules:
        return
    try:
        ranks = connect()
    except BadInput:  # the ranks cannot meet: the first one has a second to speak
        time.sleep(0 if first_process() else 1)
    else:
        ranks.agree(None)
    if "mpi4py.MPI" in sys.modules:
        sys.modules["mpi4py.MPI"].Finalize()


def _started() -> int:
    """How many processes the launcher says it started; 1 where there is none."""
    sizes = (os.environ.get(name, "") for name in _SIZE_VARIABLES)
    return max(int(size) if size.isdecimal() else 1 for size in sizes)


def _world(started: int) -> Ranks:
    try:
        # At mpi4py's own thread level, MPI_THREAD_MULTIPLE: at a lower one MPICH's waiting ranks spin without yielding,
        # which makes an iteration a hundred times slower where ranks share cores.
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise BadInput("launcher", f"it started {started} processes, but mpi4py cannot load MPI: {error}") from None
    return World(MPI.COMM_WORLD)


def first_process() -> bool:
    """Whether this process is the launcher's first, known without MPI: it speaks when the ranks cannot meet."""
    return all(os.environ.get(name, "0") == "0" for name in _RANK_VARIABLES)
