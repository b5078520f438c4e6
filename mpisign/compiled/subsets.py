"""Draw different numbers as numpy's `Generator.choice` does, bit for bit, by one text that runs plain or compiled."""

from typing import NamedTuple

import numpy as np

from mpisign.arrays import Indices
from mpisign.compiled.draws import draw_up_to
from mpisign.jit import also_in_kernels, kernel

_FEW, _SHARE = 10000, 20
"""numpy shuffles where more than a twentieth is drawn from more than so many numbers; elsewhere it is Floyd's way."""


class Room(NamedTuple):
    """Where `draw_subset` works; both arrays are found and left as they are made.

    Attributes:
        taken: -1s, a power of two of them: a hash table of the numbers that were drawn.
        order: 0, 1, 2, ..., as many as there are to draw from; none where nothing is shuffled.
    """

    taken: Indices
    order: Indices


def room_for(populations: range, count: int) -> Room:
    """Return the room for drawing so many numbers from populations of these sizes."""
    shuffled = [population for population in populations if _is_shuffled(population, count)]
    taken = np.full(1 << (2 * count - 1).bit_length(), -1, dtype=np.int64)
    return Room(taken, np.arange(max(shuffled, default=0), dtype=np.int64))


@also_in_kernels
def _is_shuffled(population: int, count: int) -> bool:
    return population > _FEW and count > population // _SHARE


@also_in_kernels
def draw_subset(generator: np.random.Generator, population: int, room: Room, out: Indices) -> None:
    """Write different numbers of 0, ..., population - 1 to `out`, all subsets as likely.

    It is numpy's choice(population, out.size, replace=False, shuffle=False), in the same order, with the same use of
    the generator.

    Args:
        generator: the generator.
        population: n, at least out.size.
        room: that of `room_for`.
        out: shape (size,), overwritten.
    """
    first = population - out.size
    if _is_shuffled(population, out.size):
        draw_up_to(generator, population - 1, -1, out)
        _end_of_shuffled(first, room.order, out)
    else:
        draw_up_to(generator, first, 1, out)
        _replace_repeated(first, room.taken, out)


@kernel("void(int64, int64[::1], int64[::1])")
def _end_of_shuffled(first: int, order: Indices, out: Indices) -> None:
    """Swap 0, 1, ..., n - 1 from the last one on, each with the one that was drawn for it; keep those from `first` on.

    Args:
        first: n - size.
        order: shape (n,) or more.
        out: what was drawn for n - 1, n - 2, ..., first; overwritten by what stands at first, ..., n - 1.
    """
    last = first + out.size - 1
    for i in range(out.size):
        order[last - i], order[out[i]] = order[out[i]], order[last - i]
    for i in range(out.size):
        out[i] = order[first + i]
    # Only these places have changed: what was elsewhere and is now at the end, and the end.
    for i in range(out.size):
        order[out[i]] = out[i]
        order[first + i] = first + i


@kernel("void(int64, int64[::1], int64[::1])")
def _replace_repeated(first: int, taken: Indices, out: Indices) -> None:
    """Replace each number that is there already, drawn from 0, ..., j, by j = first, first + 1, ...: Floyd's way.

    R. W. Floyd and J. Bentley, A sample of brilliance, CACM 30 (1987) 754-757.

    Args:
        first: n - size.
        taken: at least twice as many places as `out` has.
        out: what was drawn for first, first + 1, ..., n - 1; overwritten.
    """
    mask = taken.size - 1
    for i in range(out.size):
        value = out[i]
        place = value & mask
        while taken[place] != -1 and taken[place] != value:
            place = (place + 1) & mask
        if taken[place] == value:
            value = first + i
            place = value & mask
            while taken[place] != -1:
                place = (place + 1) & mask
        taken[place] = out[i] = value
    taken[:] = -1
