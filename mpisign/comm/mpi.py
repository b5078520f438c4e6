"""MPI's ranks; of what a run uses, only this module and `mpisign.comm.startup` import mpi4py."""

import os
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from threading import Timer
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from mpisign.arrays import Indices, Words
from mpisign.comm.collectives import Agreed, Collective
from mpisign.comm.communicator import Communicator
from mpisign.comm.launcher import own_cores
from mpisign.comm.shared_arrays import MARGIN, SHARED, TO_DO, Arrays, Layout, Opened, carve, offsets, room, unshared
from mpisign.comm.survival import say_why, ulfm_enabled, ulfm_missing
from mpisign.compiled import mpi_calls
from mpisign.config.validation import InputError
from mpisign.messages import say

if TYPE_CHECKING:
    from mpi4py import MPI

_AGREEING = 60.0
"""Seconds for the ranks that are left to agree on who they are; on several machines that was seen to hang."""

ULFM = ulfm_enabled(os.environ)
"""Whether these ranks were started with ULFM."""

_THREADS = ("single", "funneled", "serialized", "multiple")
"""MPI's thread levels, by their numbers."""


class MPICommunicator(Communicator):
    """The ranks of an MPI communicator.

    Args:
        communicator: MPI's.
        node: those that share memory, when it is not for MPI to say.
    """

    def __init__(self, communicator: "MPI.Intracomm", node: "MPI.Intracomm | None" = None):
        from mpi4py import MPI

        self._mpi, self._communicator, self._given_node = MPI, communicator, node
        self._windows: list[MPI.Win] = []
        self._idle: list[Words] = []
        self.rank, self.size = communicator.rank, communicator.size
        self.threads = _THREADS[MPI.Query_thread()]
        self.library = MPI.Get_library_version().splitlines()[0].strip("\0 ")

    @cached_property
    @override
    def node(self) -> "MPICommunicator":
        split = self._given_node or self._communicator.Split_type(self._mpi.COMM_TYPE_SHARED)
        return MPICommunicator(self._mpi.Intracomm(split))

    @cached_property
    @override
    def leaders(self) -> "MPICommunicator | None":
        communicator = self._communicator.Split(0 if self.node.root else self._mpi.UNDEFINED)
        return MPICommunicator(self._mpi.Intracomm(communicator)) if self.node.root else None

    @cached_property
    @override
    def members(self) -> list[int]:  # type: ignore[override]
        return self.node._communicator.allgather(self.rank)

    @cached_property
    @override
    def largest(self) -> int:  # type: ignore[override]
        return int(self._communicator.allreduce(self.node.size, self._mpi.MAX))

    @cached_property
    @override
    def cores(self) -> int:  # type: ignore[override]
        return len(set().union(*self.node._communicator.allgather(own_cores())))

    def memory(self, count: int, own: Sequence[slice]) -> tuple[Words, Callable[[], object]]:
        """Return words of an idle window, or of a new one, which takes some milliseconds."""
        fitting = [i for i, words in enumerate(self._idle) if len(words) >= count]
        # All ranks make a window together, and on nodes of unequal sizes some may need one where others do not.
        lent = self._idle.pop(fitting[0]) if self._least(len(fitting)) else self._window(count)
        self.node._least(0)  # nobody reads any more what it held
        for part in own:
            lent[part] = 0
        self.node._least(0)
        return lent[:count], lambda: self._idle.append(lent)

    def _window(self, count: int) -> Words:
        """Return words that this rank's node has in common, until it leaves; raise InputError if there is no room."""
        if not self._fits(count):
            need = f"no room on a node for {8 * count} bytes that its ranks share"
            raise InputError(str(SHARED), f"{need}; {TO_DO}, or take --exchange server")
        node = self.node
        window = self._mpi.Win.Allocate_shared(8 * count if node.root else 0, 1, comm=node._communicator)
        self._windows.append(window)
        return np.asarray(window.Shared_query(0)[0], dtype=np.uint8).view(np.uint64)

    def _fits(self, count: int) -> bool:
        """Return whether each node has room for so many words, as its first rank sees it before the window is made."""
        free = room() if self.node.root else None
        fits = free is None or 8 * count + MARGIN <= free
        return bool(self._least(int(fits)))

    def _least(self, own: int) -> int:
        """Return the smallest number, 0 or more, that any rank gives; every rank calls it, and waits for the others."""
        numbers: Words = np.empty(self.size, dtype=np.uint64)
        self._once(self.allgather_of(np.array([own], dtype=np.uint64), numbers))
        return int(numbers.min())

    @override
    def gather_of(self, table: Words) -> Collective:
        buffer = self._buffer(table)  # the root's own rows stay in place
        return self._prepared("Gather", *((self._mpi.IN_PLACE, buffer, 0) if self.root else (buffer, None, 0)))

    @override
    def broadcast_of(self, row: Words) -> Collective:
        return self._prepared("Bcast", self._buffer(row), 0)

    @override
    def alltoall_of(self, sent: Words, received: Words) -> Collective:
        if len(sent) == self.size:
            return self._prepared("Alltoall", self._buffer(sent), self._buffer(received))
        blocks = (mpi_calls.blocks(self._mpi, words, self.size) for words in (sent, received))
        return self._prepared("Alltoallv", *blocks)

    @override
    def allgather_of(self, own: Words, all_of_them: Words) -> Collective:
        if len(all_of_them) == self.size:
            return self._prepared("Allgather", self._buffer(own), self._buffer(all_of_them))
        blocks = mpi_calls.blocks(self._mpi, all_of_them, self.size)
        return self._prepared("Allgatherv", self._buffer(own), blocks)

    @override
    def send(self, words: Words, rank: int) -> None:
        self._finish(self._communicator.Isend(self._buffer(words), rank))

    @override
    def receive(self, words: Words, rank: int) -> None:
        self._finish(self._communicator.Irecv(self._buffer(words), rank))

    def _finish(self, request: "MPI.Request") -> None:
        """Wait for a request without keeping the core of a rank that works; with ULFM by MPI, which sees a loss."""
        if ULFM:
            request.Wait()
        else:
            self._run(mpi_calls.waiting(self._mpi, request))

    def _buffer(self, words: Words) -> "tuple[MPI.buffer, MPI.Datatype]":
        """Return the words as MPI takes them, as words since it counts up to 2^31 - 1; made once, which takes time."""
        return self._mpi.buffer(words.view(np.uint8)), self._mpi.UINT64_T

    def _prepared(self, name: str, *arguments: object) -> Collective:
        """Return a collective call of the communicator: a persistent one where MPI has them, else a blocking one.

        A rank that waits for a persistent one offers its core to others, and sleeps after a while.
        """
        return self._persistent(name, *arguments) if self.persistent else self._blocking(name, *arguments)

    def _blocking(self, name: str, *arguments: object) -> Collective:
        """Return a collective call as a blocking one."""
        calls = None if ULFM else mpi_calls.blocking(self._mpi, self._communicator, name, arguments)
        return Collective(partial(getattr(self._communicator, name), *arguments), calls=calls)

    def _persistent(self, name: str, *arguments: object) -> Collective:
        """Return a collective call as a persistent one, planned once and started each time."""
        request = getattr(self._communicator, f"{name}_init")(*arguments)
        calls = mpi_calls.persistent(self._mpi, request)
        return Collective(partial(self._run, calls), request.Free, calls)

    def _run(self, calls: Indices) -> None:
        """Make calls of MPI's functions; raise MPI's exception for an error code."""
        code = mpi_calls.run(calls)
        if code:
            raise self._mpi.Exception(code)

    @cached_property
    def persistent(self) -> bool:
        """Return whether MPI has persistent collectives; Open MPI 5 has them and says MPI 3.1.

        With ULFM none are used: a request cannot be freed when a rank is lost.
        """
        if ULFM:
            return False
        try:
            self._persistent("Bcast", self._buffer(np.zeros(1, dtype=np.uint64)), 0).free()
        except (NotImplementedError, self._mpi.Exception):
            return False
        return True

    def share(self, opening: Callable[[], Opened]) -> Arrays:
        """Return one window of memory a node, filled by its first rank.

        With ULFM it is a copy a rank: no window outlives a rank.

        Raises:
            Agreed: another rank had a complaint before it came here.
        """
        if ULFM:
            return unshared(opening)
        try:
            self.sync_errors(None)  # meets the ranks that have a complaint already and do not come here
        except InputError as error:
            raise Agreed(error) from None
        layout, fill = self._first_of(opening)
        count = -(-offsets(layout)[-1] // 8)
        if not self._fits(count):
            if self.root:
                line = f"{SHARED} has no room for {8 * count} bytes of data: each rank keeps a copy of its own; {TO_DO}"
                say(line)
            return self.raise_collectively(lambda: unshared(opening))
        arrays = carve(self._window(count), layout)
        complaint = None
        try:
            if fill is not None:
                fill(arrays)
        except InputError as error:
            complaint = error
        self.sync_errors(complaint)
        return arrays

    def _first_of(self, opening: Callable[[], Opened]) -> tuple[Layout, Callable[[Arrays], None] | None]:
        """Return the layout, on every rank of a node; on its first one also what fills the arrays."""
        layout, fill, complaint = None, None, None
        try:
            if self.node.root:
                layout, fill = opening()
        except InputError as error:
            complaint = error
        self.sync_errors(complaint)
        return self.node._communicator.bcast(layout), fill

    @override
    def processes(self) -> list[int]:
        return self.node._communicator.allgather(os.getpid())

    @override
    def texts(self, own: str) -> list[str]:
        return self._communicator.allgather(own)

    @property
    @override
    def whole(self) -> bool:
        return not self._communicator.Is_revoked()

    @override
    def sync_errors(self, complaint: InputError | None) -> None:
        # The lowest rank with a complaint, or `size` if none has one; it alone broadcasts.
        failing = self._least(self.size if complaint is None else self.rank)
        if failing < self.size:
            parts = None if complaint is None else (complaint.key, complaint.complaint)
            raise InputError(*self._communicator.bcast(parts, root=failing))

    @override
    def cannot_survive(self) -> str:
        return ulfm_missing(self.library, os.environ)

    @override
    def lost(self, error: Exception) -> bool:
        # ERR_OTHER: what Open MPI's Alltoall says; that nobody is lost is seen then.
        mpi = self._mpi
        kinds = (mpi.ERR_PROC_FAILED, mpi.ERR_PROC_FAILED_PENDING, mpi.ERR_REVOKED, mpi.ERR_OTHER)
        return isinstance(error, self._mpi.Exception) and error.Get_error_class() in kinds

    def survivors(self) -> "tuple[MPICommunicator, list[int]]":
        """Return the ranks that are left; who is still in a collective call is called out of it by the revocation."""
        late = Timer(_AGREEING, self._give_up)
        late.daemon = True
        late.start()
        # A rank that waits for one that is alive does not see the loss: revoking makes its call fail, too.
        if not self._communicator.Is_revoked():
            self._communicator.Revoke()
        left = MPICommunicator(self._mpi.Intracomm(self._communicator.Shrink()))
        were = left._communicator.allgather(self.rank)
        late.cancel()
        return left, were

    def _give_up(self) -> None:
        """End this rank, which waits in a call that does not return."""
        late = f"rank {self.rank} did not meet the others that are left in {_AGREEING:g} seconds; ending"
        say(f"{late}; --resume goes on from the last checkpoint")
        os._exit(1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all ranks at once for an error that not every rank has (anything but InputError); free the windows."""
        if error is not None and not isinstance(error, InputError | SystemExit):
            # Every rank may have it. The first that is not inside of a call of MPI says it, and ends the others.
            say_why(self.rank, error)
            self._communicator.Abort(1)
            raise error
        for window in self._windows:
            window.Free()
