"""Evaluate f and its gradient at a block of iterates, shared by the ranks."""

from collections.abc import Callable

import numpy as np

from mpisign.arrays import Floats
from mpisign.comm.communicator import Communicator
from mpisign.comm.distributed_sum import Segments
from mpisign.engine.records.schedule import BLOCK
from mpisign.problems import Problem
from mpisign.problems.distributed_objective import threads_for


def never() -> bool:
    """Return False."""
    return False


class Evaluation:
    """f and its gradient at a block of points.

    Always all r points are evaluated, stale ones too, so that the matrix products have the same shapes, and a point in
    the same place has a result of the same bits, however full the block is.

    Args:
        problem: the problem whose f it is.
        ranks: the ranks that share the work.
        records: about how many records a block is to have; it has fewer where it must, or where all are then equal.

    Attributes:
        points: float64, shape (r, d), the same on every rank.
    """

    def __init__(self, problem: Problem, ranks: Communicator, records: int):
        self._problem = problem
        most = max(1, min(BLOCK, 2**25 // (8 * problem.dimension)))
        count = -(-records // -(-records // most))  # the fewest blocks, and those as equal as can be
        self.points: Floats = np.zeros((count, problem.dimension))
        self._results = Segments(problem.segments, ranks, count * (1 + problem.dimension), threads_for(problem, ranks))

    def run(self, interrupted: Callable[[], bool] = never) -> Floats:
        """Return (f, gradient) at every point, float64, shape (r, 1 + d), on the root; elsewhere it has no meaning.

        Args:
            interrupted: asked by all ranks together, before each of their parts; whether to end there.

        Raises:
            Interrupted: they have ended it.
        """
        return self._results.sum(self._part, interrupted).reshape(len(self.points), -1)

    def _part(self, segment: int, out: Floats) -> None:
        """Write one segment's share of f and its gradient at all points to `out`."""
        self._problem.part(self.points, segment, out.reshape(len(self.points), -1))
