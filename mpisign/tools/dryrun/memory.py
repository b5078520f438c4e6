"""Estimate the memory of a process: its arrays are allocated, which does not touch the memory, counted and freed."""

import resource
import sys
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mpisign.aggregation.exchange_registry import EXCHANGES, exchange_factory
from mpisign.aggregation.server import SERVERS, Server, plan_server
from mpisign.engine.planning import Plan, PlannedRun
from mpisign.engine.recorder import Recorder
from mpisign.engine.records.rough_evaluation import evaluation_of
from mpisign.engine.records.schedule import block_of, schedule_of
from mpisign.problems import Minimum, Problem
from mpisign.problems.distributed_objective import SMALL, Objective, threads_for
from mpisign.problems.logistic_sums import BLOCK
from mpisign.problems.solving.largest_hessian import has_whole_hessian
from mpisign.rng import RandomStreams
from mpisign.tools.dryrun.mock_communicator import MockCommunicator

_MPI = 2**24
"""Bytes that an MPI library takes of its own; MPICH 5 and Open MPI 5 take about half of it on four ranks."""

_LBFGS = 25
"""Vectors that scipy's L-BFGS-B holds: 10 pairs and some more."""

_HESSIANS = 5
"""Matrices that are held where f* or constants are found from a whole Hessian."""

_SHRUNK = (1, 16, 256, 4096)
"""Parts of d: what cannot even be allocated here is counted at a smaller one, in proportion."""


class MemoryEstimate(NamedTuple):
    """Bytes of one process, in its largest run.

    Attributes:
        libraries: Python's and MPI's private memory.
        vectors: x, the gradient, what the method keeps for each worker hosted here, noise, the problem's own.
        messages: Rows and replies.
        records: A block of records and its evaluation.
        state: Of one worker after the other, while it is saved.
        minimum: What finding f* takes, before the runs.
        common: What the node holds once besides.
    """

    libraries: int
    vectors: int
    messages: int
    records: int
    state: int
    minimum: int
    common: int

    @property
    def private(self) -> int:
        """Return the bytes of this process at its peak."""
        return self.libraries + self.vectors + max(self.messages + self.records + self.state, self.minimum)


class Base(NamedTuple):
    """Bytes that are held before a run.

    Attributes:
        private: Of this process, without data.
        mpi: What MPI will take besides.
        mapped: Files of libraries, once a node.
        data: Data, once a node.
    """

    private: int
    mpi: int
    mapped: int
    data: int


def base(problem: Problem, alone: bool) -> Base:
    """Return what this process holds, which has loaded the data.

    Args:
        problem: The problem, with its data.
        alone: Whether the data are in the process's own memory.
    """
    data = sum(array.nbytes for array in shared(problem))
    anonymous, mapped = _resident()
    return Base(max(anonymous - data, 0), _MPI, mapped, data) if alone else Base(anonymous, 0, mapped, data)


def shared(problem: Problem) -> list["np.ndarray[Any, Any]"]:
    """Return the arrays that a node's ranks have in common."""
    rows = getattr(problem, "rows", None)
    return list(getattr(rows, "arrays", {}).values())


def held(plan: Plan, rank: int, size: int, base: Base) -> MemoryEstimate:
    """Return what rank number `rank` of `size` holds, with all on one node; or one process if size is 1."""
    names = list(EXCHANGES) if plan.experiment.exchange == "auto" else [plan.experiment.exchange]
    libraries = base.private + (base.mpi if size > 1 else 0)
    own = _own(plan)
    found = (_of_run(plan, run, name, MockCommunicator(rank, size)) for run in plan.runs for name in names)
    vectors, messages, records, state, common = max(found, key=sum)
    minimum = _minimum(plan.problem, MockCommunicator(rank, size))
    return MemoryEstimate(libraries, own + vectors, messages, records, state, minimum, common)


def _own(plan: Plan) -> int:
    """Return the bytes that the problem and all runs' oracles keep for themselves."""
    oracles = sum(allocated(partial(run.oracle.plan, run.problem, run.workers))[0] for run in plan.runs)
    return oracles + sum(array.nbytes for array in vars(plan.problem).values() if isinstance(array, np.ndarray))


def _of_run(plan: Plan, run: PlannedRun, exchange: str, ranks: MockCommunicator) -> tuple[int, int, int, int, int]:
    """Return the bytes of vectors, messages, records, state and what is in common."""
    d, method = plan.problem.dimension, run.method
    hosted, messages = _messages(run, exchange, d, ranks)
    common = ranks.in_common
    memory = method.memory(d).nbytes
    size = np.dtype(run.real).itemsize
    vectors = 2 * size * d + hosted * memory + method.shared(d).nbytes
    state = 2 * memory if ranks.root and ranks.size > 1 else 0  # it is written worker by worker
    state += 8 * d if size < 8 else 0  # x as the file has it
    if exchange == "node" and ranks.size > 1:
        from mpisign.aggregation.node_exchange import SHARED_X_FROM

        common += size * d if d >= SHARED_X_FROM and method.only_subtracts else 0  # x, once a node
    return vectors, messages - ranks.in_common, _records(plan, run, ranks), state, common


def _messages(run: PlannedRun, exchange: str, dimension: int, ranks: MockCommunicator) -> tuple[int, int]:
    """Return how many workers are hosted, and the bytes of a round's rows and replies, those in common among them."""
    for part in _SHRUNK:
        ranks.in_common = 0
        try:
            size, server = allocated(partial(_server, run, exchange, -(-dimension // part), ranks))
        except MemoryError:
            continue
        ranks.in_common *= part
        return len(server.hosted), part * size
    raise MemoryError(f"d = {dimension}")


def _server(run: PlannedRun, exchange: str, dimension: int, ranks: MockCommunicator) -> Server:
    """Plan the run's server by one exchange."""
    factory = exchange_factory(exchange, ranks)
    return plan_server(run.method, run.workers, dimension, factory, RandomStreams(0, 0), run.real)


def _records(plan: Plan, run: PlannedRun, ranks: MockCommunicator) -> int:
    """Return the bytes of a block of points, of f and gradients there, and of one part's evaluation meanwhile."""
    log, problem = plan.experiment.log, plan.problem
    server = SERVERS["dense"](exchange_factory("server", MockCommunicator(0, 1)), 1, 1, "plus", RandomStreams(0, 0))
    block, evaluation = allocated(lambda: evaluation_of(problem, ranks, block_of(log), Minimum(0.0, 0.0)))
    signs, _ = allocated(lambda: Recorder(evaluation, server, schedule_of(log, run.settings), None, log.iterates))
    points = len(evaluation.points)
    one = 8 * points * (1 + problem.dimension)
    rough = problem.has_rough_part
    # The sum; then what each thread's evaluation of a part holds, and after it the sum's sizes or a copy of x for the
    # file. By float32 products the sums in both precisions are held, and then the one that is taken.
    after = one if ranks.root or rough else 0
    return block + signs + (2 if rough else 1) * one + max(threads_for(problem, ranks) * _block(problem, points), after)


def _block(problem: Problem, points: int) -> int:
    """Return what is held beyond its arguments while f is evaluated on a block of data, at so many points."""
    rows = getattr(problem, "rows", None)
    if rows is None:
        return 0
    count = min(BLOCK, -(-rows.samples // problem.segments))
    as_float64, _ = allocated(lambda: rows.block(0, count))
    return int(as_float64 + 8 * points * (4 * count + problem.dimension))


def _minimum(problem: Problem, ranks: MockCommunicator) -> int:
    """Return the bytes of the tables of sums, and on the root of the solver's vectors and matrices.

    The solver takes none where there is no data to solve for.
    """
    size, _ = allocated(lambda: Objective(problem, ranks))
    if not (ranks.root and problem.data_sha256()):
        return size
    d = problem.dimension
    whole = d <= SMALL or has_whole_hessian(problem.samples or 0, d)
    return size + 8 * (_LBFGS * d + (_HESSIANS * d * d if whole else 0))


def allocated(make: Callable[[], Any]) -> tuple[int, Any]:
    """Call `make`; return the bytes that its result holds, and the result."""
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    try:
        made = make()
        return max(tracemalloc.get_traced_memory()[0] - before, 0), made
    finally:
        if not tracing:
            tracemalloc.stop()


def _resident() -> tuple[int, int]:
    """Return the bytes of this process's own memory, and of files that it has mapped."""
    status = Path("/proc/self/status")
    if status.exists():
        found = dict(line.split(":", 1) for line in status.read_text().splitlines() if line.startswith("Rss"))
        if {"RssAnon", "RssFile"} <= set(found):
            return 1024 * int(found["RssAnon"].split()[0]), 1024 * int(found["RssFile"].split()[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024), 0
