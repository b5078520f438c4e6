"""A sum over segments on many ranks: the bits of one process, and room for one row on the root."""

from collections import deque
from fractions import Fraction

import numpy as np
import pytest

from mpisign.comm.communicator import SerialCommunicator
from mpisign.comm.distributed_sum import Segments
from mpisign.tools.dryrun.memory import allocated
from mpisign.tools.dryrun.mock_communicator import MockCommunicator

SEGMENTS = 16


class Posted(MockCommunicator):
    """A rank whose messages wait for the root in a queue of its own."""

    def __init__(self, rank, size, queues):
        super().__init__(rank, size)
        self.queues = queues

    def send(self, words, rank):
        assert rank == 0
        self.queues.setdefault(self.rank, deque()).append(words.copy())

    def receive(self, words, rank):
        words[:] = self.queues[rank].popleft()


@pytest.mark.parametrize("size", [1, 2, 3, 10, 16, 17, 40, 1000])
def test_the_bits_do_not_depend_on_the_number_of_ranks(size):
    """The others first, the root last: it takes what they sent in the order of the segments."""
    values = np.random.default_rng(1).standard_normal((SEGMENTS, 7)) * 10.0 ** np.arange(SEGMENTS)[:, None]
    computed, queues, ranks = [], {}, []

    def compute(segment, out):
        computed.append(segment)
        out[:] = values[segment]

    def total(rank, size, queues):
        return Segments(SEGMENTS, Posted(rank, size, queues), 7).sum(compute)

    for rank in reversed(range(size)):
        before = len(computed)
        found = total(rank, size, queues)
        ranks += [rank] * (len(computed) - before)
    assert sorted(computed) == list(range(SEGMENTS))
    assert not any(queues.values())
    assert max(map(ranks.count, ranks)) == -(-SEGMENTS // size)
    expected = np.zeros(7)
    for row in values:
        expected += row
    assert found.tobytes() == expected.tobytes()
    # Another order gives other bits, so that this test can fail.
    assert values[::-1].cumsum(axis=0)[-1].tobytes() != expected.tobytes()
    exact = [float(sum(map(Fraction, column))) for column in values.T]
    np.testing.assert_allclose(found, exact, rtol=1e-13)


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
