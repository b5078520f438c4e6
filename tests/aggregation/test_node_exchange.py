"""The exchange by way of the node: which rank's memory what lies in, and which ranks have a core."""

import numpy as np
import pytest

from mpisign.aggregation.exchange import Central, Format
from mpisign.aggregation.messages import DenseMessage
from mpisign.aggregation.node_exchange import SHARED_X_FROM, Node, VotingNode
from mpisign.aggregation.slices.by_node import by_node
from mpisign.aggregation.slices.leaders import LeaderCounts, LeaderRows
from mpisign.config.validation import InputError
from mpisign.tools.dryrun.mock_communicator import MockCommunicator


class Noting(MockCommunicator):
    """A rank of a node with so many cores, which notes the words that it touches first."""

    def __init__(self, rank, size, cores):
        super().__init__(rank, size)
        self.available, self.asked = cores, []

    @property
    def cores(self):
        return self.available

    def memory(self, count, own):
        self.asked.append((count, own))
        return super().memory(count, own)


@pytest.mark.parametrize(("size", "workers", "cores"), [(2, 1, 2), (5, 4, 64), (5, 4, 2), (4, 7, 4)])
def test_every_word_is_touched_first_by_the_rank_that_writes_it(size, workers, cores):
    """A page lies where it was first touched: a worker's row by its core, a share of x by that of whoever steps it."""
    form, d = Format(1, 10, 10), SHARED_X_FROM + 100
    touched = {}
    for rank in range(size):
        ranks = Noting(rank, size, cores)
        exchange = Node(ranks, workers, form)
        exchange._wait = lambda *arguments: None  # nobody else is there
        reply = DenseMessage(np.zeros(1 + d))
        _x, shared = exchange.keep(np.zeros(d), reply) if rank else (None, None)
        (count, own), *of_x = ranks.asked
        base = exchange._signals.ctypes.data
        row = (exchange.table.ctypes.data - base) // 8
        assert any(part.start <= row and row + exchange.table.size <= part.stop for part in own)
        for part in own:
            touched.setdefault("rows", []).extend(range(part.start, part.stop))
        if rank:
            ((count_x, (part,)),) = of_x
            assert count_x == d
            assert part == slice(*(min(64 * word, d) for word in shared._share))
            touched.setdefault("x", []).extend(range(part.start, part.stop))
    assert sorted(touched["rows"]) == list(range(count))
    first = 0 if size > cores else -(-d // (512 * size)) * 512  # the leader's, unless it has no core of its own
    assert sorted(touched["x"]) == list(range(first, d))


@pytest.mark.parametrize(("rank", "size", "cores", "looks"), [(0, 5, 5, 20000), (0, 5, 4, 500), (1, 5, 4, 20000)])
def test_ranks_that_have_a_core_look_longer_before_they_sleep(rank, size, cores, looks):
    exchange = Node(Noting(rank, size, cores), size - 1, Format(1, 3, 3))
    assert exchange._spins == looks


@pytest.mark.parametrize(
    ("workers", "width", "cores", "all_"),
    [(128, 2048, 128, True), (128, 2048, 127, False), (127, 2048, 128, False), (4000, 2047, 128, False)],
)
def test_all_ranks_vote_where_that_is_much_and_each_has_a_core(workers, width, cores, all_):
    """2^18 words of ballots, and a d so long that no iteration is compiled."""
    made = by_node(Noting(1, 128, cores), workers, Format(1, width, width, ballots=True))
    assert type(made) is (VotingNode if all_ else Node)
    assert type(by_node(Noting(1, 128, cores), 1, Format(1, 10**6, 10**6))) is Node  # no ballots


def test_ranks_that_vote_hold_a_slice_of_the_reply_and_a_note_besides():
    """By counts: 32 ranks, 31 ballots of 320 words; each rank has 16 words of the vote, on cache lines of its own."""
    one, all_ = (kind(Noting(3, 32, 32), 31, Format(1, 320, 320, ballots=True)) for kind in (Node, VotingNode))
    (alone, _), (together, _) = (exchange.ranks.asked[0] for exchange in (one, all_))
    assert 0 <= together - alone - 8 * 32 < 8
    assert (all_.slice_start, len(all_.reduced_slice)) == (3 * 16, 1 + 16)
    assert (all_._replied.ctypes.data - all_._signals.ctypes.data) % 64 == 0


class OnNodes(MockCommunicator):
    """Rank 0 of 64 on 16 machines."""

    def __init__(self, installed=1e9):
        super().__init__(0, 64)
        self.largest, self.members, self.room = 4, range(4), installed
        self.node, self.leaders = MockCommunicator(0, 4), MockCommunicator(0, 16)

    node = leaders = None  # of each instance
    installed = property(lambda self: self.room)


def test_leaders_hold_slices_of_what_all_nodes_send():
    """By counts: 63 workers, rows of 1000 words, slices of 64; four ballots of a node have counts of three digits."""
    counts = by_node(OnNodes(), 63, Format(1, 1000, 1000, ballots=True))
    assert type(counts) is LeaderCounts
    assert counts._sent.shape == counts._received.shape == (16, 4 + 3 * 64)
    rows = LeaderRows(OnNodes(), 63, Format(1, 1000, 1000))
    assert rows._sent.shape == rows._received.shape == (16, 4, 1 + 64)
    assert rows.rows.shape == (63, 1 + 64)
    assert counts.reduced_slice.shape == rows.reduced_slice.shape == (1 + 64,)


def test_short_rows_go_by_the_single_server_which_is_compiled():
    assert type(by_node(OnNodes(), 63, Format(1, 2047, 2047))) is Central
    assert type(by_node(OnNodes(), 63, Format(1, 2048, 2048))) is LeaderRows


def test_a_leader_that_has_no_room_is_refused_before():
    """Three times 16 x 4 slices of 65 words and their second planes."""
    need = 2 * 3 * 16 * 4 * 65 * 8
    form = Format(1, 1000, 1000, tables=2)
    LeaderRows(OnNodes(need), 63, form)
    with pytest.raises(InputError, match=r"first rank of a machine would hold 0.0002 GB of messages of 63 workers"):
        LeaderRows(OnNodes(need - 1), 63, form)
