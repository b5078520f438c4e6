"""The server's reply against a plain count, for every method's messages, every zeros policy, odd and even M."""

import tracemalloc
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpisign.aggregation.exchange import Exchange, Format, Sharded
from mpisign.aggregation.exchange_registry import EXCHANGES, exchange_factory
from mpisign.aggregation.server import SERVERS
from mpisign.aggregation.slices.cut import receivers, slices
from mpisign.algorithms.methods import METHODS
from mpisign.comm.communicator import SerialCommunicator
from mpisign.config.validation import InputError
from mpisign.rng import RandomStreams, Stream
from mpisign.tools.dryrun.memory import allocated
from mpisign.tools.dryrun.mock_communicator import MockCommunicator

ZEROS = ("exact", "coin", "plus")
WORKERS = (1, 2, 3, 4, 7, 16)
DIMENSIONS = (1, 63, 64, 65, 200)


def vectors(workers, d, with_zeros, seed=0):
    """One vector a worker, small whole numbers, so that every sum of them is exact."""
    rows = np.random.default_rng([seed, workers, d]).integers(-2, 3, (workers, d)).astype(float)
    return rows if with_zeros else np.where(rows == 0, 1.0, rows)


def plan(message, workers, d, zeros="exact", streams=None):
    return SERVERS[message](
        exchange_factory("server", SerialCommunicator()), workers, d, zeros, streams or RandomStreams(1, 0)
    )


def reply_to(server, rows):
    for worker, row in enumerate(rows):
        server.message(worker).put(row)
    return server.aggregate()


def direction(reply, d):
    """The vector that a step subtracts, read off a step from the origin."""
    x = np.zeros(d)
    reply.subtract_from(x, 1.0)
    return -x


def coin(streams, purpose, worker, k, d):
    words = streams.generator(purpose, worker, k).integers(0, 2**64, size=-(-d // 64), dtype=np.uint64)
    bits = np.unpackbits(words.view(np.uint8), bitorder="little")[:d]
    return np.where(bits, 1.0, -1.0)


def counted(rows, zeros, streams, k, first=0):
    """The vote, coordinate by coordinate, and the number of ties; the rows are those of the workers from `first` on."""
    signs = np.sign(rows)
    if zeros == "plus":
        signs[signs == 0] = 1
    if zeros == "coin":
        for worker, row in enumerate(signs, first):
            row[row == 0] = coin(streams, Stream.ZERO_SIGN, worker, k, len(row))[row == 0]
    vote = np.sign(signs.sum(axis=0))
    tied = vote == 0
    if zeros == "plus":
        vote[tied] = 1
    if zeros == "coin":
        vote[tied] = coin(streams, Stream.TIE, 0, k, len(vote))[tied]
    return vote, int(tied.sum())


@pytest.mark.parametrize("zeros", ZEROS)
@pytest.mark.parametrize("with_zeros", [False, True])
@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("d", DIMENSIONS)
def test_votes_as_counted(zeros, with_zeros, workers, d):
    streams = RandomStreams(5, 3)
    server = plan("signs", workers, d, zeros, streams)
    for k in (0, 1):
        server.start_iteration(k)
        rows = vectors(workers, d, with_zeros, seed=k)
        reply = reply_to(server, rows)
        vote, ties = counted(rows, zeros, streams, k)
        assert (direction(reply, d) == vote).all()
        assert reply.ties == ties
        assert reply.number == np.abs(rows).sum(axis=1).sum() / workers
        signs = np.zeros(d, dtype=np.int8)
        reply.signs(signs)
        assert (signs == vote).all()


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("d", DIMENSIONS)
def test_averages_dense_messages_in_the_order_of_the_workers(workers, d):
    server = plan("dense", workers, d)
    rows = np.random.default_rng([workers, d]).standard_normal((workers, d))
    total = np.zeros(d)
    for row in rows:
        total = total + row
    assert (direction(reply_to(server, rows), d) == total / workers).all()


@pytest.mark.parametrize("zeros", ZEROS)
@pytest.mark.parametrize("with_zeros", [False, True])
@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("d", DIMENSIONS)
def test_averages_scaled_signs_in_the_order_of_the_workers(zeros, with_zeros, workers, d):
    streams = RandomStreams(5, 3)
    server = plan("scaled-signs", workers, d, zeros, streams)
    rows = vectors(workers, d, with_zeros)
    expected = np.zeros(d)
    for worker, row in enumerate(rows):
        expected = expected + np.abs(row).sum() / workers * counted(row[None], zeros, streams, 0, worker)[0]
    assert (direction(reply_to(server, rows), d) == expected).all()
    assert server.bits_down == (1 + (zeros == "exact" and (rows == 0).any())) * 64 * (1 + d) * workers


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_counts_the_bits_that_travel(workers):
    d, words = 130, 3
    ones, zero_in_one = np.ones((workers, d)), np.ones((workers, d))
    zero_in_one[0, 7] = 0.0
    server = plan("signs", workers, d)
    reply_to(server, ones)
    one_plane = 64 * (1 + words) * workers
    assert (server.bits_up, server.bits_down) == (one_plane, one_plane)
    reply_to(server, zero_in_one)
    # Every worker's second plane goes up; down go the question, the reply and a tied one's.
    tied = 64 * words * workers * (workers == 1)
    assert server.bits_up == 2 * one_plane + 64 * words * workers
    assert server.bits_down == 3 * one_plane + tied


def test_a_dense_message_is_d_numbers_and_one():
    server = plan("dense", 3, 10)
    reply_to(server, np.ones((3, 10)))
    assert server.bits_up == server.bits_down == 3 * 64 * 11


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_that_is_not_finite_is_noticed(method):
    server = plan(METHODS[method].message, 3, 5)
    rows = np.ones((3, 5))
    rows[1, 2] = np.nan
    assert not np.isfinite(reply_to(server, rows).number)


@pytest.mark.parametrize("message", SERVERS)
def test_a_step_on_the_reply_changes_nothing_else(message):
    """A method may step again and again on one reply: it is read, not used up."""
    server = plan(message, 2, 70)
    reply = reply_to(server, vectors(2, 70, with_zeros=True))
    assert (direction(reply, 70) == direction(reply, 70)).all()


def test_the_coin_of_a_tie_is_nobody_s_coin_for_a_zero():
    """All signs are coins; where two differ a third decides. It agrees with worker 0's in half of some 3200 places, to
    within six standard deviations."""
    d = 6400
    with plan("signs", 2, d, "coin") as server:
        signs = direction(reply_to(server, np.zeros((2, d))), d)
    zero, one = (coin(RandomStreams(1, 0), Stream.ZERO_SIGN, worker, 0, d) for worker in range(2))
    tied = zero != one
    assert (signs == zero)[~tied].all()
    assert abs((signs == zero)[tied].mean() - 0.5) < 6 * 0.5 / np.sqrt(tied.sum())


def test_an_exchange_that_lacks_an_attribute_is_refused_by_name(monkeypatch):
    """Not by an AttributeError in the first round."""

    class Forgetful(Exchange):
        def __init__(self, ranks, workers, form):
            super().__init__(ranks, workers, form)
            self.table = self.rows = self.reply = self.reduced_slice = np.zeros((1, 4), dtype=np.uint64)
            self.numbers, self.is_reducer = np.zeros(1), True

        def gather(self):
            raise AssertionError("it is not used")

        broadcast_reply = close = gather

    monkeypatch.setitem(EXCHANGES._makers, "forgetful", Forgetful)
    two = SimpleNamespace(rank=1, size=2)
    with pytest.raises(InputError, match="expected Forgetful to have slice_start once it is made"):
        exchange_factory("forgetful", two)(1, Format(1, 1, 1))


class Many(MockCommunicator):
    """Rank 0 of many, on a machine with 24 GB."""

    installed = 24e9


@pytest.mark.parametrize(
    ("name", "message", "zeros", "workers", "gb"),
    [
        ("server", "signs", "exact", 4000, "1e+03"),  # two planes of 125 MB a worker
        ("server", "signs", "coin", 4000, "500"),
        ("server", "scaled-signs", "plus", 4000, "500"),
        ("server", "dense", "plus", 10, "88"),  # of 8 GB, and rank 0 has rows, too
        ("sharded", "signs", "exact", 4000, ""),
    ],
)
def test_messages_that_rank_0_has_no_room_for_are_refused_before(name, message, zeros, workers, gb):
    """At d = 10^9, in one line and without taking the room; the limit counts second planes only where they travel."""
    d, ranks = 10**9 if gb else 10**6, Many(0, 1 + workers)
    tracemalloc.start()
    with pytest.raises(InputError, match="take exchange sharded") if gb else nullcontext() as caught:
        SERVERS[message](exchange_factory(name, ranks), workers, d, zeros, RandomStreams(1, 0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if gb:
        assert peak < 2**20
        assert str(caught.value).startswith(f"exchange: rank 0 would hold {gb} GB of messages of {workers} workers")


@pytest.mark.parametrize(("message", "d"), [("signs", 6400), ("scaled-signs", 6400)])
def test_second_planes_have_room_only_where_they_travel(message, d):
    """With 500 workers, a table of theirs; with zeros = "coin" or "plus" a rank has those of its own workers."""
    held = {}
    for zeros in ("exact", "coin", "plus"):
        factory = exchange_factory("server", MockCommunicator(0, 501))
        make = partial(SERVERS[message], factory, 500, d, zeros, RandomStreams(1, 0))
        held[zeros], _ = allocated(make)
    table = 501 * d // 8
    assert held["coin"] == pytest.approx(held["plus"], rel=1e-2)
    assert held["exact"] - held["coin"] == pytest.approx(table, rel=0.05)


@given(st.integers(1, 10**6), st.integers(2, 5000))
def test_slices_are_whole_cache_lines_and_as_thin_as_these_allow(words, ranks):
    width, count = slices(words, ranks)
    lines = -(-words // 8)
    assert width == 8 * -(-lines // ranks)  # lines dealt out to all ranks: the most that one gets
    assert [words - first for first in range(0, words, width)][-1] <= width
    assert count == len(range(0, words, width)) <= ranks
    assert receivers(count, ranks) == (count if 2**count <= ranks else ranks)


@pytest.mark.parametrize("rank", [0, 3, 4, 999])
def test_of_a_thousand_ranks_those_beyond_the_last_slice_receive_no_rows(rank):
    """d = 2000 are 32 words, four slices."""
    exchange = Sharded(MockCommunicator(rank, 1000), 999, Format(1, 32, 32, ballots=True))
    assert exchange._sent.shape == (4, 1, 9)
    assert exchange._parts._parts.shape == (4, 10)
    assert exchange.is_reducer == (rank < 4)
    assert exchange._received.shape == (1000 * (rank < 4), 1, 9)
    assert len(exchange.rows) == len(exchange.numbers) == 999 * (rank < 4)
