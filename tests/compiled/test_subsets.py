"""Numbers, and different ones, are drawn as numpy draws them, interpreted and compiled, with the same state after."""

import numba
import numpy as np
import pytest

from mpisign.compiled.draws import draw_below
from mpisign.compiled.subsets import draw_subset, room_for


@numba.njit
def draw_compiled(generator, population, room, out):
    """`draw_subset` in compiled code."""
    draw_subset(generator, population, room, out)


@numba.njit
def draw_below_compiled(generator, count, out):
    """`draw_below` in compiled code."""
    draw_below(generator, count, out)


SIZES = [
    *((n, size) for n in (1, 2, 3, 7, 64, 569) for size in {1, 2, n // 2, n - 1, n} if 0 < size <= n),
    # Around 10000, from which on numpy shuffles where more than a twentieth is drawn.
    *((n, size) for n in (9999, 10000, 10001, 10019, 10020, 10021) for size in (1, 499, 500, 501, n - 1, n)),
    (20000, 1000),
    (20000, 1001),
    # Where a draw is often rejected, and the largest bounds of 32 bits.
    (3 * 10**9, 100),
    (2**31 + 1, 1000),
    (2**32 - 1, 50),
    (2**32, 50),
    (2**32 + 25, 50),
    (3 * 2**61, 20),
]


@pytest.mark.parametrize("draw", [draw_subset, draw_compiled])
def test_it_is_numpys_choice(draw):
    """In this order, with the same state after: also where half a word was left before."""
    for (n, size), seed in [(sizes, seed) for sizes in SIZES for seed in range(4)]:
        ours, numpys = (np.random.Generator(np.random.Philox(seed)) for _ in range(2))
        if seed % 2:
            assert ours.integers(9) == numpys.integers(9)
        room, out = room_for(range(n, n + 1), size), np.full(size, -1)
        for _ in range(2):  # the room is left as it was found
            draw(ours, n, room, out)
            assert out.tolist() == numpys.choice(n, size, replace=False, shuffle=False).tolist(), (n, size, seed)
            assert str(ours.bit_generator.state) == str(numpys.bit_generator.state)


def test_one_room_is_enough_for_both_ways():
    """Of 20001 data points one worker owns 10000, of which numpy shuffles none, and another 10001."""
    room = room_for(range(10000, 10002), 600)
    ours, numpys = (np.random.Generator(np.random.Philox(3)) for _ in range(2))
    for n in (10001, 10000, 10001, 10000):
        out = np.empty(600, dtype=np.int64)
        draw_subset(ours, n, room, out)
        assert out.tolist() == numpys.choice(n, 600, replace=False, shuffle=False).tolist()
    assert room.order.size == 10001
    assert room_for(range(10000, 10001), 600).order.size == 0


@pytest.mark.parametrize("count", [1, 2, 569, 3 * 2**30, 2**32 - 1, 2**32, 2**32 + 1, 3 * 2**61])
def test_numbers_with_repetitions_are_numpys_integers(count):
    for seed in range(4):
        ours, numpys = (np.random.Generator(np.random.Philox(seed)) for _ in range(2))
        out = np.empty(25, dtype=np.int64)
        for _ in range(2):
            draw_below_compiled(ours, count, out)
            assert out.tolist() == numpys.integers(0, count, 25).tolist()
            assert str(ours.bit_generator.state) == str(numpys.bit_generator.state)
