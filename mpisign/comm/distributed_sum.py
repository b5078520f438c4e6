"""Sum over the segments of a problem on all ranks: the same bits on any number of them, and of their threads.

The sum is a tree that depends on the number of segments alone: up to 16 groups of segments that follow each other; the
segments of a group are added in their order, and then the groups in theirs. So many rows at most meet on the root.
"""

from collections.abc import Callable, Iterator

import numpy as np

from mpisign.arrays import Floats
from mpisign.comm.collectives import Collectives
from mpisign.config.threads import in_threads

GROUPS = 16
"""Groups at most: what the root adds, however many segments there are."""


class Interrupted(Exception):
    """The end of a sum between two segments, on every rank: somebody has asked for it."""


class Segments:
    """One quantity that is a sum over segments.

    Args:
        count: how many segments there are.
        ranks: the ranks that compute them, a block of them each; of more ranks than segments those that lie apart, on
            as many machines as can be.
        columns: how many numbers the quantity has.
        threads: how many segments this rank computes at the same time.
    """

    def __init__(self, count: int, ranks: Collectives, columns: int, threads: int = 1):
        self._ranks, self._columns = ranks, columns
        self._owners = [segment * ranks.size // count for segment in range(count)]
        self._mine = [segment for segment, owner in enumerate(self._owners) if owner == ranks.rank]
        self._most = -(-count // ranks.size)
        groups = min(count, GROUPS)
        self._groups = [range(group * count // groups, (group + 1) * count // groups) for group in range(groups)]
        self._group_of = [group for group, segments in enumerate(self._groups) for _ in segments]
        self._threads = max(1, min(threads, len(self._mine)))
        self._plan_rows()

    def _plan_rows(self) -> None:
        """Make room for a row of each thread, and on ranks that are not the root for what they send."""
        own, mine = self._ranks.rank, self._mine
        # Who owns the first segment of a group adds that group; the others of it send it their rows.
        self._lead = [group for group, segments in enumerate(self._groups) if self._owners[segments[0]] == own]
        self._sent = [segment for segment in mine if self._leader(self._group_of[segment]) != own]
        self._awaited = [
            segment for group in self._lead[-1:] for segment in self._groups[group] if self._owners[segment] != own
        ]
        grouped = any(len(self._groups[group]) > 1 for group in self._lead)
        lasting = [] if self._ranks.root else [*self._sent, *(self._groups[group][0] for group in self._lead)]
        self._lasting = dict(zip(lasting, np.zeros((len(lasting), self._columns)), strict=True))
        self._rows: Floats = np.zeros((self._threads if self._ranks.root or grouped else 0, self._columns))
        self._group_sum: Floats = np.zeros(self._columns if self._ranks.root and grouped else 0)

    def _leader(self, group: int) -> int:
        """Return the rank that adds the rows of a group."""
        return self._owners[self._groups[group][0]]

    def sum(self, compute: Callable[[int, Floats], None], interrupted: Callable[[], bool] = lambda: False) -> Floats:
        """Return the sum of what compute(segment, out) writes for each segment; every rank calls it at the same time.

        Args:
            compute: writes a row, in some thread.
            interrupted: asked by all ranks together, before each of their segments; whether to end there.

        Returns:
            float64, shape (columns,), on the root, elsewhere void.

        Raises:
            Interrupted: all ranks have ended it.
        """
        total: Floats = np.zeros(self._columns)
        # First all of them, and then the messages: the others may be at their own segments until then.
        for segment, row in in_threads(compute, self._work(interrupted), self._threads):
            if self._ranks.root:
                self._take(segment, row, total)
            else:
                self._add(segment, row)
        if self._ranks.root:
            self._take_from_others(total)
        else:
            self._send()
        return total

    def _work(self, interrupted: Callable[[], bool]) -> Iterator[tuple[int, Floats]]:
        """Yield this rank's segments, each with room for its row."""
        for place in range(self._most):
            if interrupted():  # also where this rank has no segment left: all of them ask as often
                raise Interrupted
            if place < len(self._mine):
                segment = self._mine[place]
                yield segment, self._room(place, segment)

    def _room(self, place: int, segment: int) -> Floats:
        """Return room for the row of a segment, the place-th of this rank."""
        lasting = self._lasting.get(segment)
        row: Floats = self._rows[place % self._threads] if lasting is None else lasting
        return row

    def _add(self, segment: int, row: Floats) -> None:
        """Add a row to its group's sum, which lies where the row of the group's first segment was written."""
        if segment not in self._lasting:
            self._lasting[self._groups[self._group_of[segment]][0]] += row

    def _take(self, segment: int, row: Floats, total: Floats) -> None:
        """Add a row on the root to its group's sum, and that one to the total when it has all its rows."""
        group = self._groups[self._group_of[segment]]
        if len(group) > 1:
            if segment == group[0]:
                self._group_sum[:] = row
            else:
                self._group_sum += row
            row = self._group_sum
        if segment == group[-1]:
            total += row

    def _take_from_others(self, total: Floats) -> None:
        """Add what the root receives: the rest of its last group, and the sums of those that others lead."""
        row = self._rows[0]
        for segment in self._awaited:
            self._ranks.receive(row.view(np.uint64), self._owners[segment])
            self._take(segment, row, total)
        # By groups, not by ranks: a reduction of MPI would round in an order that depends on the number of ranks.
        for group in range(len(self._lead), len(self._groups)):
            self._ranks.receive(row.view(np.uint64), self._leader(group))
            total += row

    def _send(self) -> None:
        """Send the rows of a group that another rank leads, and the sums of this rank's own groups.

        Rows go to lower ranks only, and a rank waits for rows of higher ones only: nobody waits in a circle.
        """
        for segment in self._sent:
            self._ranks.send(self._lasting[segment].view(np.uint64), self._leader(self._group_of[segment]))
        for segment in self._awaited:
            self._ranks.receive(self._rows[0].view(np.uint64), self._owners[segment])
            self._add(segment, self._rows[0])
        for group in self._lead:
            self._ranks.send(self._lasting[self._groups[group][0]].view(np.uint64), 0)
