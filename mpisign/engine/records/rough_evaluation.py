"""Evaluate a block of iterates by float32 products, and again in float64 where the figures could show the difference.

Each record is judged by its own errors: which of the two it has does not depend on the other records of its block.
"""

from collections.abc import Callable

import numpy as np
from typing_extensions import override

from mpisign.arrays import Floats
from mpisign.comm.communicator import Communicator
from mpisign.comm.distributed_sum import Segments
from mpisign.engine.records.evaluation import Evaluation, never
from mpisign.problems import Minimum, Problem
from mpisign.problems.distributed_objective import threads_for

ERRORS = {"value_error": 0.01, "gradient_error": 0.05}
"""Attributes of a run: limits of the errors of its values, in parts of f - f*, and of its gradients' l1 norms."""


class RoughEvaluation(Evaluation):
    """The same of a problem that has `rough_part`.

    Args:
        problem: the problem whose f it is.
        ranks: the ranks that share the work.
        records: how many records there will be.
        minimum: f*, on the root.
    """

    def __init__(self, problem: Problem, ranks: Communicator, records: int, minimum: Minimum):
        super().__init__(problem, ranks, records)
        self._ranks, self._minimum = ranks, minimum
        columns = len(self.points) * (3 + problem.dimension)
        self._rough = Segments(problem.segments, ranks, columns, threads_for(problem, ranks))

    @override
    def run(self, interrupted: Callable[[], bool] = never) -> Floats:
        found = self._rough.sum(self._rough_part, interrupted).reshape(len(self.points), -1)
        rough, certain = found[:, :-2], self._certain(found)
        if self._ranks.broadcast_bool(bool(certain.all())):
            return rough
        exact = super().run(interrupted)
        return np.where(certain[:, None], rough, exact)

    def _rough_part(self, segment: int, out: Floats) -> None:
        """Write one segment's share of f, its gradient and their errors at all points to `out`."""
        self._problem.rough_part(self.points, segment, out.reshape(len(self.points), -1))

    def _certain(self, found: Floats) -> np.ndarray:
        """Return which points have errors that are small enough; found: shape (r, 3 + d)."""
        with np.errstate(over="ignore", invalid="ignore"):  # a NaN is not certain
            gaps = found[:, 0] - self._minimum.value - self._minimum.error
            limits = ERRORS["value_error"] * gaps, ERRORS["gradient_error"] * np.abs(found[:, 1:-2]).sum(axis=1)
            certain: np.ndarray = (found[:, -2] <= limits[0]) & (found[:, -1] <= limits[1])
            return certain


def evaluation_of(problem: Problem, ranks: Communicator, records: int, minimum: Minimum | None) -> Evaluation:
    """Return the quicker evaluation where the problem has one and f* is known, on every rank; else that in float64."""
    if problem.has_rough_part and minimum is not None:
        return RoughEvaluation(problem, ranks, records, minimum)
    return Evaluation(problem, ranks, records)
