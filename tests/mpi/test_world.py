"""What must hold on every rank. Run under mpiexec by test_under_mpiexec.py, at several sizes."""

from contextlib import ExitStack
from itertools import product

import numpy as np
import pytest

from mpisign.aggregation.exchange import Central, Format
from mpisign.aggregation.exchange_registry import EXCHANGES, exchange_factory
from mpisign.aggregation.node_exchange import VotingNode
from mpisign.aggregation.server import SERVERS
from mpisign.algorithms.methods import Sign
from mpisign.comm.communicator import SerialCommunicator
from mpisign.comm.mpi import MPICommunicator
from mpisign.comm.startup import connect
from mpisign.config.experiment import parse
from mpisign.config.validation import InputError, settings
from mpisign.data.linear_rows import DenseRows
from mpisign.engine import planning, runner
from mpisign.engine.records.rough_evaluation import evaluation_of
from mpisign.problems import Minimum, Problem
from mpisign.problems.logistic import Logistic
from mpisign.rng import RandomStreams
from mpisign.storage.trajectory import Trajectory

pytestmark = pytest.mark.mpi

ZEROS = ("exact", "coin", "plus")


@pytest.fixture(scope="module")
def ranks():
    with connect() as world:
        yield world


def test_this_is_the_world_that_was_launched(ranks):
    from mpi4py import MPI

    assert (ranks.rank, ranks.size) == (MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size)
    assert len(ranks.hosts()) == ranks.size
    assert ranks.library != SerialCommunicator.library


def test_gather_brings_the_rows_in_the_order_of_the_ranks(ranks):
    table = ranks.table(2, 3)
    table[:2] = 10 * ranks.rank + np.arange(2)[:, None]
    ranks.gather(table)
    if ranks.root:
        assert (table[:, 0] == [10 * rank + row for rank in range(ranks.size) for row in range(2)]).all()
        assert (table == table[:, :1]).all()


def test_broadcast_overwrites_with_the_roots_row(ranks):
    row = np.full(5, ranks.rank, dtype=np.uint64)
    row[-1] = 2**64 - 1 if ranks.root else 0
    ranks.broadcast(row)
    assert list(row) == [0, 0, 0, 0, 2**64 - 1]


def test_a_complaint_of_any_rank_is_everyones(ranks):
    ranks.sync_errors(None)
    for unhappy in range(ranks.size):
        with pytest.raises(InputError) as caught:
            ranks.sync_errors(InputError("key", f"rank {unhappy}") if ranks.rank == unhappy else None)
        assert (caught.value.key, caught.value.complaint) == ("key", f"rank {unhappy}")


def test_of_several_complaints_the_first_ranks_is_raised(ranks):
    with pytest.raises(InputError, match="rank 0"):
        ranks.sync_errors(InputError("key", f"rank {ranks.rank}"))


@pytest.mark.parametrize("workers", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("message", SERVERS)
@pytest.mark.parametrize("exchange", EXCHANGES)
def test_every_rank_gets_the_reply_of_one_process(ranks, exchange, message, workers):
    for zeros, with_zeros in product(ZEROS, (False, True)):
        same_replies(ranks, exchange, message, workers, zeros, with_zeros)


@pytest.mark.parametrize("workers", [1, 4, 7, 20])
@pytest.mark.parametrize("message", SERVERS)
@pytest.mark.parametrize("mapping", ["blocks", "in turn"])
def test_the_same_over_several_nodes(ranks, nodes, mapping, message, workers, monkeypatch):
    """By leaders that have a slice each, by some that have none, and by the single server."""
    monkeypatch.setattr("mpisign.aggregation.slices.by_node.LEADERS_SHARE_FROM", 1)
    for zeros, with_zeros in product(ZEROS, (False, True)):
        same_replies(nodes[mapping], "node", message, workers, zeros, with_zeros)
    for d in (600, 1030, 2000):
        same_rounds(nodes[mapping], "node", message, workers, "exact", True, np.float64, d)
    monkeypatch.undo()
    same_rounds(nodes[mapping], "node", message, workers, "exact", True, np.float64)


@pytest.mark.parametrize("message", SERVERS)
@pytest.mark.parametrize("d", [600, 1030, 3000])
def test_the_same_where_slices_are_fewer_than_ranks(ranks, message, d):
    """Of signs 2, 3 and 6 cache lines: ranks beyond the last slice have none, and its words are not all there."""
    for workers in (2, 5):
        same_rounds(ranks, "sharded", message, workers, "exact", True, np.float64, d)


@pytest.mark.parametrize(("workers", "bound"), [(2, "each to its own"), (5, "each to its own"), (5, "all to one")])
def test_the_same_where_all_ranks_of_a_node_vote(ranks, bound, workers, monkeypatch):
    """The leader has a share only where it has a core; of three cache lines, some ranks of five have none."""
    monkeypatch.setattr("mpisign.aggregation.node_exchange.voted_by_all", lambda *arguments: True)
    with with_cores(bound, monkeypatch) as here:
        if here.size > 1:
            made = EXCHANGES["node"](here, workers, Format(1, 10, 10, ballots=True))
            assert type(made) is VotingNode
            assert made.travel() is None
            made.close()
        for zeros, with_zeros in product(ZEROS, (False, True)):
            same_rounds(here, "node", "signs", workers, zeros, with_zeros, np.float64, 1030)
        test_a_long_x_takes_the_same_steps_where_the_exchange_keeps_it(here, "node", "signs", np.float64)


@pytest.fixture(scope="module")
def nodes(ranks):
    """These ranks as if they were on several machines, of unequal size, neighbours together or apart."""
    from mpi4py import MPI

    colors = {"blocks": (ranks.rank + 1) // 2, "in turn": ranks.rank % 2}
    with ExitStack() as stack:
        worlds = {name: MPICommunicator(MPI.COMM_WORLD, MPI.COMM_WORLD.Split(color)) for name, color in colors.items()}
        yield {name: stack.enter_context(world) for name, world in worlds.items()}


def test_where_one_node_has_room_from_before_and_another_has_not(ranks):
    """One rank's rows of a single word end in the same cache line for one worker and for three, two ranks' do not."""
    from mpi4py import MPI

    with MPICommunicator(MPI.COMM_WORLD, MPI.COMM_WORLD.Split((ranks.rank + 1) // 2)) as here:
        for workers in (1, 3, 1):
            same_rounds(here, "node", "signs", workers, "exact", True, np.float64, 1)


def same_replies(ranks, exchange, message, workers, zeros, with_zeros):
    """Round after round, those that every server gives in one process; dense messages and replies in float32, too."""
    same_rounds(ranks, exchange, message, workers, zeros, with_zeros, np.float64)
    if message != "signs" and zeros == "exact":
        same_rounds(ranks, exchange, message, workers, zeros, with_zeros, np.float32)


def same_rounds(ranks, exchange, message, workers, zeros, with_zeros, real, d=131):
    """Those of one precision, with a d that fills no word of float32."""
    rows = np.random.default_rng([workers, with_zeros]).integers(-2, 3, (3, workers, d)).astype(float)
    rows = (rows if with_zeros else np.where(rows == 0, 0.5, rows)).astype(real)
    alone, here = (
        SERVERS[message](exchange_factory(exchange, who), workers, d, zeros, RandomStreams(1, 0), real)
        for who in (SerialCommunicator(), ranks)
    )
    assert list(alone.hosted) == list(range(workers))
    for k in range(len(rows)):
        for server in (alone, here):
            server.start_iteration(k)
            for worker in server.hosted:
                server.message(worker).put(rows[k, worker])
        expected, reply = alone.aggregate(), here.aggregate()
        x, y = np.zeros((2, d), dtype=real)
        expected.subtract_from(x, 1.0)
        reply.subtract_from(y, 1.0)
        assert (x == y).all()
        assert reply.number == expected.number
        assert (here.bits_up, here.bits_down) == (alone.bits_up, alone.bits_down)
        if ranks.root:
            assert reply.ties == expected.ties
    with alone, here:
        pass


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("message", SERVERS)
@pytest.mark.parametrize("real", [np.float64, np.float32])
def test_a_long_x_takes_the_same_steps_where_the_exchange_keeps_it(ranks, exchange, message, real):
    """Two workers, so that votes tie; x is one for a whole node where there is one."""
    d = 2**17 + 101
    rows = np.random.default_rng(3).integers(-2, 3, (2, d)).astype(real)
    alone, here = (
        SERVERS[message](exchange_factory(exchange, who), 2, d, "exact", RandomStreams(1, 0), real)
        for who in (SerialCommunicator(), ranks)
    )
    with alone, here:
        start = np.arange(d, dtype=real)
        expected, x = alone.keep(start.copy()), here.keep(start.copy())
        for k in range(4):
            for server in (alone, here):
                server.start_iteration(k)
                for worker in server.hosted:
                    server.message(worker).put(np.roll(rows[worker], k))
            alone.aggregate().subtract_from(expected, 0.5)
            reply = here.aggregate()
            assert (x == np.arange(d)).all() == (k == 0)
            reply.subtract_from(x, 0.5)
            assert (x == expected).all()


def with_cores(bound, monkeypatch):
    """These ranks as they are bound to cores."""
    from mpi4py import MPI

    monkeypatch.setattr("mpisign.comm.mpi.own_cores", lambda: {MPI.COMM_WORLD.rank if "each" in bound else 3})
    return MPICommunicator(MPI.COMM_WORLD)


@pytest.mark.parametrize("message", SERVERS)
def test_so_it_does_over_several_nodes(nodes, message):
    """x is one for each node, and the reply comes in slices from the leaders of all."""
    test_a_long_x_takes_the_same_steps_where_the_exchange_keeps_it(nodes["blocks"], "node", message, np.float64)


@pytest.mark.parametrize("bound", ["each to its own", "all to one"])
def test_a_node_has_the_cores_of_all_its_ranks(bound, monkeypatch):
    """As srun binds them, each to a core of its own: none of them is in another's way, and the leader has a share."""
    with with_cores(bound, monkeypatch) as here:
        assert here.cores == (here.size if "each" in bound else 1)
        for real in (np.float64, np.float32):
            test_a_long_x_takes_the_same_steps_where_the_exchange_keeps_it(here, "node", "signs", real)
        if here.size == 1:
            return
        exchange = EXCHANGES["node"](here, 2, Format(1, 3, 3))
        crowded = here.size - (not here.root) > here.cores
        assert exchange._spins == (500 if crowded else 20000)
        assert (exchange._share(8)[1] == 0) == (here.root and here.size > here.cores)
        exchange.close()


@settings
class Decayed(Sign):
    """x <- (1 - alpha / 10) x - alpha vote: a step that does more to x than to subtract"""

    def step(self, x, alpha, reply, shared):
        x *= 1 - alpha / 10
        reply.subtract_from(x, alpha)


class Long(Problem):
    """f(x) = sum_i |x_i - i mod 7|; f* = 0"""

    dimension = 2**17 + 100

    def value(self, x):
        return float(np.abs(x - np.arange(len(x)) % 7).sum())

    def gradient(self, x, out):
        out[:] = np.sign(x - np.arange(len(x)) % 7)


JOB = """
iterations = 40
problem = { kind = "test_world:Long" }
start = { kind = "normal", size = 5.0 }
[[runs]]
method = "METHOD"
workers = 3
step = { kind = "constant", alpha = 0.25 }
"""


@pytest.mark.parametrize(
    ("method", "where"),
    [
        ("test_world:Decayed", "one node"),
        ("scaled-sign", "one node"),
        ("scaled-sign", "one node that votes"),
        ("ef-sign", "blocks"),
        ("gd", "in turn"),
    ],
)
def test_a_step_may_do_anything_to_a_long_x(ranks, nodes, method, where, folder, monkeypatch):
    """By the node, and by several of them, as in one process."""
    if "votes" in where:
        monkeypatch.setattr("mpisign.aggregation.node_exchange.voted_by_all", lambda *arguments: True)
    experiment = parse(JOB.replace("METHOD", method), ["exchange=node"])
    for who in (nodes.get(where, ranks), *([SerialCommunicator()] if ranks.root else [])):
        runner.run(planning.plan(experiment, who), who, folder / f"{type(who).__name__}.h5", range(1))
    if ranks.root:
        ended = [
            Trajectory(folder / f"{name}.h5").runs[0].repeats[0] for name in ("MPICommunicator", "SerialCommunicator")
        ]
        assert [repeat.status for repeat in ended] == 2 * ["complete"]
        assert len({repeat.sha256 for repeat in ended}) == 1


def test_without_semaphores_the_node_takes_the_server(ranks, monkeypatch):
    monkeypatch.setattr("mpisign.aggregation.node_exchange.make_semaphores", lambda words, count: False)
    exchange = EXCHANGES["node"](ranks, 2, Format(1, 3, 3))
    assert type(exchange) is Central
    exchange.close()


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 20])
def test_every_worker_is_hosted_once(ranks, workers):
    from mpi4py import MPI

    with SERVERS["signs"](exchange_factory("server", ranks), workers, 3, "exact", RandomStreams(1, 0)) as server:
        hosted = MPI.COMM_WORLD.allgather(list(server.hosted))
    assert [worker for there in hosted for worker in there] == list(range(workers))
    assert ranks.size == 1 or hosted[0] == []


@pytest.fixture(scope="module")
def node(ranks):
    """Arrays that rank 0 of the machine fills, and how often this rank filled them."""
    calls = []

    def opening():
        def fill(arrays):
            calls.append(1)
            arrays["a"][:] = np.arange(5)
            arrays["b"][...] = 0.5

        return {"a": ((5,), np.dtype(np.int64)), "b": ((3, 7), np.dtype(np.float32))}, fill

    return ranks.share(opening), len(calls)


def test_shared_arrays_are_filled_once_a_node_and_read_by_all(ranks, node):
    from mpi4py import MPI

    arrays, filled = node
    assert arrays["a"].tolist() == list(range(5))
    assert (arrays["b"] == np.full((3, 7), 0.5, dtype=np.float32)).all()
    assert all(array.flags.aligned for array in arrays.values())
    assert MPI.COMM_WORLD.allreduce(filled) == len(set(ranks.hosts()))


def test_shared_memory_is_one_memory(ranks, node):
    """What one rank writes the others see: all ranks of these tests are on one machine."""
    from mpi4py import MPI

    arrays, _ = node
    MPI.COMM_WORLD.Barrier()
    if ranks.rank == ranks.size - 1:
        arrays["a"][0] = 41
    MPI.COMM_WORLD.Barrier()
    assert arrays["a"][0] == 41


@pytest.mark.parametrize("when", ["open", "fill"])
def test_what_cannot_be_shared_is_refused_on_every_rank(ranks, when):
    def refuse(*arguments):
        raise InputError("data", f"cannot {when}")

    def opening():
        return (refuse() if when == "open" else {"a": ((1,), np.dtype(np.int64))}), refuse

    with pytest.raises(InputError, match=f"cannot {when}"):
        ranks.share(opening)


def test_a_complaint_before_data_are_shared_is_agreed_on_once(ranks):
    """One rank has it; the others meet it where they share, inside of what names its own complaints."""

    def planning(unhappy):
        if ranks.rank == unhappy:
            raise InputError("exchange", "mine")
        try:
            ranks.share(lambda: ({"a": ((1,), np.dtype(np.int64))}, lambda arrays: None))
        except InputError as error:
            raise error.inside("problem") from None

    for unhappy in range(ranks.size):
        with pytest.raises(InputError, match=r"^exchange: mine$"):
            ranks.raise_collectively(lambda unhappy=unhappy: planning(unhappy))
        ranks.sync_errors(None)  # nobody is one agreement behind


@pytest.mark.parametrize("segments", [16, 112])
def test_f_star_and_the_constants_are_the_same_on_any_number_of_ranks(ranks, segments, monkeypatch):
    """And of threads, of which each rank has another number."""
    from mpisign.data.linear_rows import signed
    from mpisign.problems import logistic_sums
    from mpisign.problems.distributed_objective import Objective

    monkeypatch.setattr(logistic_sums, "segments_of", lambda rows: segments)
    monkeypatch.setattr(Logistic, "long", 0)
    rng = np.random.default_rng(5)
    # The whole Hessian, and conjugate gradients with float32 products, or with the Hessian in two blocks.
    for d, dtype in ((6, np.float64), (520, np.float32), (1020, np.float64)):
        problem = Logistic(signed(rng.standard_normal((50, d)).astype(dtype), np.resize([1.0, -1.0], 50)))
        monkeypatch.setenv("MPISIGN_THREADS", str(1 + ranks.rank % 3))
        objective = Objective(problem, ranks)
        if not ranks.root:
            objective.serve()
            continue
        found = problem.minimum(objective), problem.constants(objective)
        objective.finish()
        monkeypatch.setenv("MPISIGN_THREADS", "1")
        alone, own = Logistic(problem.rows), Objective(problem, SerialCommunicator())
        assert found == (alone.minimum(own), alone.constants(own))


@pytest.mark.parametrize("segments", [16, 112])
def test_records_by_float32_products_are_those_of_one_process(ranks, segments, monkeypatch):
    """The root alone judges which of them need float64."""
    from mpisign.problems import logistic_sums

    monkeypatch.setattr(logistic_sums, "segments_of", lambda rows: segments)
    monkeypatch.setattr(Logistic, "long", 0)
    monkeypatch.setenv("MPISIGN_THREADS", str(1 + ranks.rank % 3))
    monkeypatch.setattr(Logistic, "large", 0)
    rng = np.random.default_rng(1)
    problem = Logistic(DenseRows({"rows": rng.standard_normal((300, 40), np.float32)}))
    points, found = rng.standard_normal((5, 40)) * np.array([[3], [1], [0.3], [0.1], [0.01]]), []
    for who in (SerialCommunicator(), ranks):
        known = Minimum(np.log(2) - 1e-5 if who.root else -1.0, 0.0)
        evaluation = evaluation_of(problem, who, len(points), known)
        evaluation.points[:] = points
        found.append(evaluation.run())
    if ranks.root:
        assert (found[0] == found[1]).all()
