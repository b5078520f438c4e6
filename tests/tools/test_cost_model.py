"""The cost model: what it must say of simple cases, and that it finds again the machine that made its times."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpisign.aggregation.bitplanes import words
from mpisign.tools.bench import cost_model
from mpisign.tools.bench.cost_model import Curve, Machine, Network
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
        cost_model.gather: (ranks - 1) * size,
        cost_model.broadcast: size,
        cost_model.alltoall: size * (ranks - 1) / ranks,
        cost_model.allgather: size * (ranks - 1) / ranks,
        cost_model.allreduce: size,
    }
    for collective, least in must.items():
        assert collective(NET, ranks, size) >= 0.999 * max(least / NET.bandwidth, NET.latency)


def test_two_ranks_send_one_message():
    assert cost_model.gather(NET, 2, 1e6) == cost_model.broadcast(NET, 2, 1e6) == pytest.approx(1e-6 + 1e-3)
    assert cost_model.alltoall(NET, 2, 1e6) == cost_model.allgather(NET, 2, 1e6) == pytest.approx(1e-6 + 5e-4)


@settings(max_examples=100)
@given(ranks=st.integers(3, 4096), d=st.integers(10**4, 10**9))
def test_only_the_sharded_exchange_has_traffic_that_does_not_grow_with_m(ranks, d):
    free = NET._replace(latency=0.0)
    up = 8.0 * words(d)
    server, sharded = (cost_model.communication(free, name, ranks, up, up) for name in ("server", "sharded"))
    plane = d / 8 / NET.bandwidth
    assert server >= (ranks - 1) * plane
    assert sharded <= 2 * plane + 8 * 3 * (ranks + 8) / NET.bandwidth


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
