"""A sum over segments on many ranks and threads: the bits of one process, and room for one row on the root."""

from collections import deque
from fractions import Fraction

import numpy as np
import pytest

from mpisign.comm.communicator import SerialCommunicator
from mpisign.comm.distributed_sum import Interrupted, Segments
from mpisign.tools.dryrun.memory import allocated
from mpisign.tools.dryrun.mock_communicator import MockCommunicator

SEGMENTS = 16


class Posted(MockCommunicator):
    """A rank whose messages wait for their receivers in queues."""

    def __init__(self, rank, size, queues):
        super().__init__(rank, size)
        self.queues = queues

    def send(self, words, rank):
        assert rank < self.rank  # as the highest ranks come first here, and as no circle of them may wait
        self.queues.setdefault((self.rank, rank), deque()).append(words.copy())

    def receive(self, words, rank):
        words[:] = self.queues[rank, self.rank].popleft()


def rows(count):
    return np.random.default_rng(1).standard_normal((count, 7)) * 10.0 ** (np.arange(count) % 16)[:, None]


def tree(values):
    """The sum by hand: sixteen groups, each in its order."""
    groups = np.array_split(np.arange(len(values)), 16) if len(values) > 16 else [[i] for i in range(len(values))]
    total = np.zeros(7)
    for group in groups:
        part = values[group[0]].copy()
        for segment in group[1:]:
            part += values[segment]
        total += part
    return total


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 3, 10, 16, 17, 40, 100, 1000])
@pytest.mark.parametrize("count", [1, 5, 16, 112, 256])
def test_the_bits_depend_on_the_number_of_segments_alone(count, size, threads):
    """The others first, the root last: it takes what they sent in the order of the segments."""
    values = rows(count)
    computed, queues, ranks, sent = [], {}, [], 0

    def compute(segment, out):
        computed.append(segment)
        out[:] = values[segment]

    for rank in reversed(range(size)):
        before = len(computed)
        found = Segments(count, Posted(rank, size, queues), 7, threads).sum(compute)
        ranks += [rank] * (len(computed) - before)
        if rank:
            sent = max(sent, sum(len(queue) for (_, to), queue in queues.items() if to == 0))
    assert sorted(computed) == list(range(count))
    assert not any(queues.values())
    assert max(map(ranks.count, ranks)) == -(-count // size)
    assert sent < 16 + count / 16  # the sums of groups, and the rows of the root's own last group
    assert found.tobytes() == tree(values).tobytes()
    exact = [float(sum(map(Fraction, column))) for column in values.T]
    np.testing.assert_allclose(found, exact, rtol=1e-12)


def test_up_to_sixteen_segments_are_added_one_by_one():
    values = rows(16)
    assert tree(values).tobytes() == values.cumsum(axis=0)[-1].tobytes()
    # Another order gives other bits, so that these tests can fail.
    assert tree(values).tobytes() != values[::-1].cumsum(axis=0)[-1].tobytes()
    assert tree(rows(112)).tobytes() != rows(112).cumsum(axis=0)[-1].tobytes()


def test_the_ranks_with_a_segment_lie_apart():
    """Of 1024 ranks, 128 a machine: two on each of the eight machines, not all on the first."""
    owners = {
        rank: len(made._mine) for rank in range(1024) if (made := Segments(SEGMENTS, MockCommunicator(rank, 1024), 1))
    }
    assert [sum(owners[rank] for rank in range(first, first + 128)) for first in range(0, 1024, 128)] == [2] * 8


def test_the_root_has_room_for_one_row():
    """It was 16 rows, and one of every rank beyond 16 ranks: 18 GB for rcv1 on 1024 ranks."""
    columns = 47237
    alone, _ = allocated(lambda: Segments(SEGMENTS, SerialCommunicator(), columns))
    for size in (2, 16, 4000):
        root, _ = allocated(lambda size=size: Segments(SEGMENTS, MockCommunicator(0, size), columns))
        assert abs(root - alone) < 4096
    assert alone == pytest.approx(8 * columns, rel=0.02)


@pytest.mark.parametrize("threads", [1, 3])
def test_of_more_segments_the_root_has_a_row_a_thread_and_a_group_s_sum(threads):
    columns = 47237
    for size in (1, 2, 17):
        root, _ = allocated(lambda size=size: Segments(256, MockCommunicator(0, size), columns, threads))
        assert root == pytest.approx(8 * columns * (threads + 1), rel=0.02)


def test_no_rank_has_room_for_more_rows_than_two_groups_have():
    for size in (2, 3, 10, 17, 40, 100):
        for rank in range(1, size):
            made = Segments(256, MockCommunicator(rank, size), 1)
            assert len(made._lasting) <= 32


class Agreeing(MockCommunicator):
    """A rank that nobody hears."""

    def send(self, words, rank):
        raise AssertionError("a message of a sum that has ended")

    receive = send


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [1, 3, 7, 20])
def test_all_ranks_end_a_sum_at_the_same_question(size, threads):
    """Every rank asks as often as the busiest, and no message is on its way when a sum ends."""
    most = -(-16 // size)
    for last in range(1, most + 1):
        for rank in range(size):
            asked, computed = [], []

            def interrupted(asked=asked, last=last):
                asked.append(len(asked))
                return len(asked) == last

            made = Segments(16, Agreeing(rank, size), 1, threads)
            with pytest.raises(Interrupted):
                made.sum(lambda segment, out, computed=computed: computed.append(segment), interrupted)
            assert len(asked) == last
            assert len(computed) <= last - 1


def test_a_sum_after_one_that_was_ended_is_whole():
    values = rows(112)
    made = Segments(112, SerialCommunicator(), 7, 2)
    questions = iter([False] * 50 + [True])
    with pytest.raises(Interrupted):
        made.sum(lambda segment, out: np.copyto(out, values[segment]), lambda: next(questions))
    found = made.sum(lambda segment, out: np.copyto(out, values[segment]))
    assert found.tobytes() == tree(values).tobytes()
