"""The exchange by way of the node: its ranks exchange rows in shared memory; only its first one, the leader, sends.

Inside a node a row is written where the leader reads it, and the reply is read where the leader wrote it: nothing is
copied and no message sent. Semaphores say when; a rank that waits long sleeps, and others have its core.
What the leaders of several nodes send each other is in `mpisign.aggregation.slices.leaders`.
"""

import ctypes
from collections.abc import Callable

import numpy as np
from typing_extensions import override

from mpisign.aggregation.bitplanes import words
from mpisign.aggregation.compiled_travel import LINE, Travel, wait_for
from mpisign.aggregation.exchange import Exchange, Format, numbers_of
from mpisign.aggregation.messages import Message, Shared
from mpisign.aggregation.slices.cut import slices
from mpisign.arrays import Floats, Words
from mpisign.comm.communicator import Communicator
from mpisign.compiled.native import NO_CALLS
from mpisign.jit import kernel, sem_post

SHARED_X_FROM = 2**17
"""The length from which on x is kept once a node: 1 MB."""

VOTED_BY_ALL_FROM = 2**18
"""The words of all ballots from which on every rank of a node takes a part of the vote.

To wait once more costs some 10 microseconds and a post for each rank. On two ranks with a core each a round took 0.9 of
its time at 2^14 words, 0.8 at 2^16, 0.65 at 2^18 and 0.4 to 0.7 beyond; where ranks share cores, or other programs take
them, it took 1.3 to 5 times as long.
"""

_SPINS, _SPINS_ON_SHARED_CORES = 20000, 500
"""How often a rank looks at a semaphore before it sleeps: for about 100 microseconds; 5 where another needs its core.

To sleep and to be woken takes some 20; a rank that goes on looking keeps its core, though it offers it, for up to 80.
"""


class Node(Exchange):
    """The exchange of ranks that are all on one node: rank 0 combines rows that it never received."""

    _note = 0  # words that each rank has for the leader beside its rows

    def __init__(self, ranks: Communicator, workers: int, form: Format):
        super().__init__(ranks, workers, form)
        self._node, width = ranks.node, form.header + form.up
        lines, rows = LINE * (self._node.size + 1), self._node.size * self.per_rank
        self._give_x_back: Callable[[], object] = lambda: None
        # What the reply has behind its header begins on a cache line, and so do the notes of the ranks.
        reply = _whole_lines(lines + rows * width + form.header) - form.header
        notes = _whole_lines(reply + form.header + form.down)
        count = notes + self._note * self._node.size
        memory, self._give_back = ranks.memory(count, self._touched(lines, width, count))
        self._signals = memory[:lines]
        if self._node.root:
            make_semaphores(self._signals, self._node.size)
        self._node.sync_errors(None)  # not a post before they are made
        # While a worker waits, the others may want its core; the leader, while it waits, must not take one of theirs.
        wanted = self._node.size - (not self._node.root)
        self._spins = _SPINS if wanted <= ranks.cores else _SPINS_ON_SHARED_CORES
        self._shared = memory[lines : lines + rows * width].reshape(rows, width)
        self.table = self._shared[self._node.rank * self.per_rank : (self._node.rank + 1) * self.per_rank]
        self.reply = self.reduced_slice = memory[reply : reply + form.header + form.down]
        self._notes = memory[notes:].reshape(self._node.size, self._note)
        self.is_reducer, self.slice_start = ranks.root, 0
        self.rows = self.arrived(self._shared) if ranks.root else self._shared[:0]
        self.numbers = numbers_of(self.rows)

    def _touched(self, lines: int, width: int, count: int) -> list[slice]:
        """Return the words that this rank touches first: its rows; the leader also the semaphores and all else."""
        first, stop = (lines + rank * self.per_rank * width for rank in (self._node.rank, self._node.rank + 1))
        if not self._node.root:
            return [slice(first, stop)]
        return [slice(0, stop), slice(lines + self._node.size * self.per_rank * width, count)]

    @override
    def gather(self) -> None:
        self._arrive()

    def broadcast_reply(self, ties: int) -> int:
        """Let the others read the reply: it stays as it is until every rank has written its rows of the next round."""
        self._release()
        return ties

    def _arrive(self) -> None:
        """Let the leader wait until every rank of its node is here; the others go on."""
        if self._node.root:
            self._wait(0, self._node.size - 1)
        else:
            _post(self._signals, 0, 1)

    def _release(self) -> None:
        """Let the others wait until the leader is here."""
        if self._node.root:
            _post(self._signals, 1, self._node.size)
        else:
            self._wait(self._node.rank, 1)

    def _meet(self) -> None:
        """Let every rank of the node wait for every other."""
        self._arrive()
        self._release()

    def keep(self, x: Floats, reply: Message) -> tuple[Floats, Message]:
        """Keep a long x once a node: a step of every rank on its own would wait for memory."""
        if len(x) < SHARED_X_FROM:
            return x, reply
        share, a_word = self._share(words(len(x))), 64 * x.itemsize // 8  # words of x, of a word of its plane
        count = -(-x.nbytes // 8)
        own = slice(*(min(a_word * word, count) for word in share))
        memory, self._give_x_back = self.ranks.memory(count, [own])
        kept: Floats = memory.view(x.dtype)[: len(x)]
        if self._node.root:
            # x is the same on every rank: one copy a node is enough.
            kept[:] = x
        self._meet()
        return kept, Shared(reply, share, self._meet)

    def _share(self, width: int) -> tuple[int, int]:
        """Return this rank's words of `width`, in whole cache lines.

        Where the node has more ranks than cores, the leader has none.
        """
        idle = int(self._node.size > self.ranks.cores)
        each, _ = slices(width, self._node.size - idle)
        first = (self._node.rank - idle) * each
        return min(max(first, 0), width), min(max(first + each, 0), width)

    def _wait(self, index: int, count: int) -> None:
        """Take `count` from the semaphore `index`, also where signals come meanwhile."""
        while count := _wait(self._signals, index, count, self._spins):
            pass  # Python looks at the signals that came

    @override
    def travel(self) -> Travel | None:
        return Travel(NO_CALLS, NO_CALLS, self._signals, self._node.size, self._node.rank, self._spins)

    @override
    def close(self) -> None:
        self._give_back()
        self._give_x_back()


class VotingNode(Node):
    """The exchange of many or long ballots on one node: every rank takes the vote of its share of the words.

    For that the ranks wait for each other once more before it, and the leader for all of them after it.
    """

    _note = LINE

    def __init__(self, ranks: Communicator, workers: int, form: Format):
        super().__init__(ranks, workers, form)
        self.slice_start, stop = self._share(form.up)
        self.is_reducer = stop > self.slice_start
        self.reduced_slice = np.zeros(form.header + stop - self.slice_start, dtype=np.uint64)
        self._replied = self.reply[form.header + self.slice_start : form.header + stop]
        rows = self.arrived(self._shared)
        self.rows, self.numbers = self._ending(rows, form.header + stop), numbers_of(rows)

    def _ending(self, rows: Words, stop: int) -> Words:
        """Return the rows up to their word `stop`: each begins where the one before ends, as a vote reads the ends."""
        width, words = rows.shape[1], self._shared.reshape(-1)
        # Rank 0's rows, which have no worker, are before them.
        first = self.per_rank * width + stop - width
        return words[first : first + rows.size].reshape(rows.shape)

    @override
    def gather(self) -> None:
        self._meet()

    @override
    def broadcast_reply(self, ties: int) -> int:
        """Write this rank's words of the reply, and let the leader put the header before them.

        The ranks' headers differ in their flags at most; a flag of one is a flag of the reply.
        """
        header, note = self.form.header, self._notes[self._node.rank]
        self._replied[:], note[:header] = self.reduced_slice[header:], self.reduced_slice[:header]
        note[-1] = ties
        self._arrive()
        if self._node.root:
            np.bitwise_or.reduce(self._notes[:, :header], axis=0, out=self.reply[:header])
        self._release()
        return int(self._notes[:, -1].sum())

    @override
    def travel(self) -> Travel | None:
        return None


def voted_by_all(workers: int, width: int, ranks: int, cores: float) -> bool:
    """Return whether all ranks of a node vote on so many ballots of so many words.

    Of fewer words than those of an x that is kept once a node, iterations are compiled, by the leader's vote.
    """
    return ranks <= cores and width >= words(SHARED_X_FROM) and workers * width >= VOTED_BY_ALL_FROM


def _whole_lines(words: int) -> int:
    """Return how many words the cache lines of so many have."""
    return -(-words // LINE) * LINE


def make_semaphores(words: Words, count: int) -> bool:
    """Make `count` semaphores between processes, each on a line; return False where the system has none."""
    sem_init = ctypes.CDLL(None).sem_init
    made = [sem_init(ctypes.c_void_p(words[LINE * i :].ctypes.data), 1, 0) for i in range(count)]
    return not any(made)


@kernel("void(uint64[::1], int64, int64)")
def _post(semaphores: Words, first: int, stop: int) -> None:
    """Post once to each of the semaphores first, ..., stop - 1."""
    for i in range(first, stop):
        sem_post(semaphores, LINE * i)


_wait = kernel("int64(uint64[::1], int64, int64, int64)")(wait_for)
