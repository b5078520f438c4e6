"""The cost model: what it must say of simple cases, and that it finds again the machine that made its times."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpisign.aggregation.bitplanes import words
from mpisign.tools.bench import collectives, cost_model
from mpisign.tools.bench.collectives import Network
from mpisign.tools.bench.cost_model import Curve, Machine, Memory
from mpisign.tools.bench.timing import Time

NET = Network(latency=1e-6, bandwidth=1e9, adding=2e9, flag=1e-7)
LINE = Curve(np.array([1e3, 1e6]), np.array([1e-6, 1e-3]))
MACHINE = Machine(NET, LINE, LINE, LINE, math.inf)
DENSE = ("allreduce float32", "allreduce float64", "gather int8")
RANKS = st.integers(2, 4097)
SIZES = st.integers(1, 10**10)


@settings(max_examples=100)
@given(ranks=RANKS, size=SIZES)
def test_collectives_cost_what_must_pass_a_link(ranks, size):
    """No collective is faster than the bytes that one rank must send or receive, nor than one latency."""
    must = {
        collectives.gather(ranks, size): (ranks - 1) * size,
        collectives.broadcast(NET, ranks, size): size,
        collectives.alltoall(NET, ranks, size): size * (ranks - 1) / ranks,
        collectives.allgather(ranks, size): size * (ranks - 1) / ranks,
        collectives.allreduce(NET, ranks, size): size,
    }
    for load, least in must.items():
        assert load.seconds(NET) >= 0.999 * max(least / NET.bandwidth, NET.latency)


def test_two_ranks_send_one_message():
    whole = [collectives.gather(2, 1e6), collectives.broadcast(NET, 2, 1e6)]
    parts = [collectives.alltoall(NET, 2, 1e6), collectives.allgather(2, 1e6)]
    assert [load.seconds(NET) for load in whole] == pytest.approx([1e-6 + 1e-3] * 2)
    assert [load.seconds(NET) for load in parts] == pytest.approx([1e-6 + 5e-4] * 2)


@settings(max_examples=100)
@given(ranks=st.integers(3, 4096), d=st.integers(10**4, 10**9))
def test_only_the_sharded_exchange_has_traffic_that_does_not_grow_with_m(ranks, d):
    """But for a number, a count and at most a cache line more than its part, for each slice."""
    free = NET._replace(latency=0.0)
    up = 8.0 * words(d)
    server, sharded = (collectives.communication(free, name, ranks, up, up) for name in ("server", "sharded"))
    plane = d / 8 / NET.bandwidth
    assert server >= (ranks - 1) * plane
    assert sharded <= 2 * plane + (2 * 64 + 24) * (ranks + 1) / NET.bandwidth


@pytest.mark.parametrize(("ranks", "d"), [(1001, 2000), (4096, 100)])
def test_few_slices_get_a_message_of_each_rank(ranks, d):
    """Of 64 bytes and a number; each rank sends one a slice, and gets all slices of the reply."""
    up, slices_ = 8.0 * words(d), -(-d // 512)
    first, second = collectives.loads(NET, "sharded", ranks, up, up)
    assert first == collectives.Load(slices_, (slices_ - 1) * 72, (ranks - 1) * 72)
    assert second.sent == pytest.approx(slices_ * 80 * (ranks - 1) / ranks)


def test_a_curve_goes_through_its_points_and_on_in_proportion():
    curve = Curve(np.array([1e3, 1e5]), np.array([1e-6, 1e-5]))
    assert [curve.at(size) for size in (1e3, 1e4, 1e5, 1e7)] == pytest.approx([1e-6, 10**-5.5, 1e-5, 1e-3])
    assert curve.at(1) == curve.at(1e3)


@pytest.mark.parametrize("cores", [2, math.inf])
def test_the_machine_is_found_again(cores):
    switch, late = (1e-5, 2e-6) if cores == 2 else (0.0, 0.0)
    made = Machine(Network(3e-6, 2e9, 5e9, 5e-7, switch, late), LINE, LINE, LINE, cores)
    whats = [("collectives", "server"), ("collectives", "sharded"), ("collectives", "node"), ("round", "server")]
    whats += [(what, "") for what in DENSE]
    times = [
        Time(what, exchange, ranks, d, [cost_model.seconds(made, what, exchange, ranks, d)])
        for what, exchange in whats
        for ranks in (2, 3, 5)
        for d in (2000, 10**5, 10**7)
    ]
    curves = [Time(what, "", 1, d, [LINE.at(d)]) for what in ("pack", "apply") for d in (1000, 10**6)]
    votes = [Time("vote", "", 64, d, [LINE.at(d)]) for d in (1000, 10**6)]
    found = cost_model.fit([*times, *curves, *votes], cores)
    assert found.network[:4] == pytest.approx(made.network[:4], rel=1e-3)
    if cores == 2:
        assert found.network[4:] == pytest.approx(made.network[4:], rel=1e-3)
    assert found.pack.at(10**5) == pytest.approx(LINE.at(10**5))


@pytest.mark.parametrize("missing", ["rounds", "curves"])
def test_times_that_say_too_little_are_refused(missing):
    curves = [Time(what, "", 1, 100, [1e-6]) for what in ("pack", "apply", "vote")]
    whats = [("collectives", "server"), ("collectives", "node"), ("allreduce float32", "")]
    rounds = [Time(what, exchange, 2, 100, [1e-6]) for what, exchange in whats]
    lacks = {"rounds": "no rounds", "curves": "no curve of pack"}[missing]
    with pytest.raises(ValueError, match=f"expected what a whole mpisign bench measures; this file has {lacks}$"):
        cost_model.fit(curves if missing == "rounds" else rounds, 2)


COUNTED = {
    ("server", 8): 676853,
    ("server", 16): 1253062,
    ("server", 32): 2392257,
    ("server", 64): 4636736,
    ("sharded", 8): 253377,
    ("sharded", 16): 280557,
    ("sharded", 32): 288283,
}
"""Bytes a round on rank 0's link, d = 2^19, as the kernel counted them, with headers (jobs/many-hosts.sh)."""


@pytest.mark.parametrize(("exchange", "ranks"), COUNTED)
def test_counted_bytes_are_the_payload_and_headers(exchange, ranks):
    """66 bytes of headers to 1448 of data, as many for an acknowledgement, and what MPI adds to a small message."""
    found = collectives.loads(Network(1e-4, 6e5, math.inf, 0.0), exchange, ranks, 2**16, 2**16)
    payload = sum(load.sent + load.received for load in found)
    assert 1 + 66 / 1448 < COUNTED[exchange, ranks] / payload < 1.15


def test_nodes_send_counts_in_binary():
    """16 hosts of 4 ranks: 15 leaders send the counts of 4 ballots, 3 planes of a slice each, and 4 numbers."""
    (up, down) = collectives.loads(NET._replace(latency=0.0), "node", 64, 64000.0, 64000.0, hosts=16)
    width = 64000 // 16 + 32  # 62.5 cache lines, rounded up
    assert up.received == 15 * (3 * width + 8 * 4)
    assert down.received == pytest.approx(15 * (width + 16))
    assert collectives.loads(NET, "node", 64, 1000.0, 1000.0) == []


@pytest.mark.parametrize(
    ("node", "exchange", "expected"),
    [
        # gradients of 3 workers, x of 4 ranks; x is read and written: (3 + 2 * 4) * 8 MB, 7/8 of it not in the cache
        (math.inf, "server", 11 * 8e6 * (1 - 7e6 / 56e6) / 1e9),
        (math.inf, "node", (3 + 2) * 8e6 * (1 - 7e6 / 32e6) / 1e9),
        (2, "server", (2 + 2 * 2) * 8e6 * (1 - 7e6 / 32e6) / 1e9),
    ],
)
def test_ranks_of_a_node_share_its_memory(node, exchange, expected):
    nothing = Curve(np.array([1.0]), np.array([1e-15]))
    machine = Machine(NET, nothing, nothing, nothing, math.inf, Memory(1e9, 7e6), node)
    assert cost_model.computing(machine, exchange, 4, 10**6) == pytest.approx(expected, rel=1e-3)


def test_the_memory_is_found_again():
    """From times with known terms: the passes of 2 and 3 ranks on two cores."""
    memory, times = Memory(2.5e10, 1.2e7), []
    for ranks in (2, 3):
        for d in (10**4, 10**5, 10**6, 4 * 10**6, 2 * 10**7):
            for what, busy, passes in (("workers pack", ranks - 1, 1), ("ranks apply", ranks, 2)):
                held = 8.0 * d * busy
                seconds = max(max(1, busy / 2) * FAST.at(d), memory.seconds(passes * held, held))
                times.append(Time(what, "", ranks, d, [seconds]))
    assert cost_model._memory(times, 2, FAST, FAST) == pytest.approx(memory, rel=0.01)
    assert cost_model._memory([], 2, FAST, FAST) == cost_model.OWN


FAST = Curve(np.array([1e3, 1e7]), np.array([1e-7, 1e-3]))
