"""Means over the workers against plain sums in the same order, and the coins of a slice against those of the whole."""

import numpy as np
import pytest

from mpisign.aggregation import bitplanes
from mpisign.aggregation.exchange_registry import exchange_factory
from mpisign.aggregation.means import mean_signs
from mpisign.aggregation.messages import SignMessage
from mpisign.aggregation.server import VoteServer
from mpisign.comm.communicator import SerialCommunicator
from mpisign.rng import RandomStreams, Stream


def planes(signs, wide=0):
    """Rows of signs as a server has them: positive planes behind a word, and nonnegative planes."""
    width = bitplanes.words(signs.shape[1]) + wide
    rows, nonnegative = np.zeros((len(signs), 1 + width), np.uint64), np.zeros((len(signs), width), np.uint64)
    for row, plane, values in zip(rows, nonnegative, signs, strict=True):
        bitplanes.pack(values, row[1 : width + 1 - wide])
        bitplanes.pack_nonnegative(values, plane[: width - wide])
    return rows, nonnegative


@pytest.mark.parametrize("d", [1, 64, 130, 2048, 5000])
@pytest.mark.parametrize("workers", [1, 7, 40])
@pytest.mark.parametrize("real", [np.float64, np.float32])
def test_scaled_signs_are_added_in_the_order_of_the_workers(real, workers, d):
    """Bit for bit, as message by message; some workers have zeros, and the numbers are of any size."""
    rng = np.random.default_rng([workers, d])
    signs = rng.integers(-1, 2, (workers, d)).astype(float)
    signs[::2] = np.where(signs[::2] == 0, 1.0, signs[::2])
    numbers = rng.standard_normal(workers) ** 2 * 10.0 ** rng.integers(-8, 8, workers)
    expected = np.zeros(d, real)
    for number, sign in zip(numbers, signs, strict=True):
        expected += real(number / workers) * sign.astype(real)
    rows, nonnegative = planes(signs, wide=2)
    flagged, found = np.copysign(numbers, np.where((signs == 0).any(axis=1), -1.0, 1.0)), np.full(d, np.nan, real)
    mean_signs(flagged, rows, nonnegative, found)
    assert found.tobytes() == expected.tobytes()
    one_by_one = np.zeros(d, real)
    for number, row, plane in zip(flagged, rows, nonnegative, strict=True):
        row[:1].view(np.float64)[0] = number
        width = bitplanes.words(d)
        message = SignMessage(d, row[: 1 + width], plane[:width], "exact", lambda: None)
        message.subtract_from(one_by_one, -message.number / workers)
    assert found.tobytes() == one_by_one.tobytes()


@pytest.mark.parametrize(("start", "stop"), [(0, 5), (1, 2), (3, 9), (4, 8), (1000, 1003), (12345, 12346)])
def test_the_coins_of_a_slice_are_those_of_the_whole(start, stop):
    """Without drawing what lies before it, and after other draws of the same generator."""

    streams = RandomStreams(5, 2)
    server = VoteServer(exchange_factory("server", SerialCommunicator()), 3, 70, "coin", streams)
    server.start_iteration(7)
    whole = streams.generator(Stream.TIE, 1, 7).integers(0, 2**64, size=stop, dtype=np.uint64)
    streams.generator(Stream.TIE, 1, 8).integers(0, 10, size=3, dtype=np.uint32)
    assert (server._coin(Stream.TIE, 1, start, stop) == whole[start:]).all()
