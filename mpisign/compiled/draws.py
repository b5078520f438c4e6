"""Place a generator at (stream, worker, k) in compiled code, and draw from it what numpy draws, bit for bit."""

import ctypes
from typing import Any, NamedTuple

import numpy as np
from numba.core import types
from numba.extending import overload
from numba.np.random.generator_core import next_uint32, next_uint64
from numba.np.random.random_methods import bounded_lemire_uint64

from mpisign.arrays import Floats, Indices, Words
from mpisign.compiled.parameters import tuple_of
from mpisign.compiled.views import View
from mpisign.jit import also_in_kernels, part_of_kernels
from mpisign.rng import RandomStreams, Stream

_next_word: Any = next_uint64
_next_half: Any = next_uint32
_whole_word: Any = bounded_lemire_uint64
_BUFFER_EMPTY, _FLAGS = 2, 7
"""Words of numpy's philox_state: what of the buffer was drawn, and whether half a word is left."""
_HALF = np.uint64(0xFFFFFFFF)


class Draws(NamedTuple):
    """The generator of a repeat, and its state as numpy's C code has it.

    Attributes:
        generator: It is shared with `RandomStreams`.
        state: The words of philox_state, shape (8,).
        counter: Philox's counter (0, k, worker, repeat).
        key: Its key (seed, stream).
    """

    generator: np.random.Generator
    state: Words
    counter: Words
    key: Words


KIND: Any = tuple_of((types.npy_rng, *(3 * (View(types.uint64, 1),))), Draws)
"""Numba's type of `Draws`."""


def draws_of(streams: RandomStreams) -> Draws:
    """Return the draws of a repeat.

    Raises:
        TypeError: This numpy has another philox_state.
    """
    generator = streams.generator(Stream.PROBE, 5, 7)
    state = _words(generator.bit_generator.ctypes.state_address, 8)
    draws = Draws(generator, state, _words(int(state[0]), 4), _words(int(state[1]), 2))
    known = generator.bit_generator.state
    same = (draws.counter == known["state"]["counter"]).all() and (draws.key == known["state"]["key"]).all()
    if not same or int(state[_BUFFER_EMPTY]) % 2**32 != known["buffer_pos"] or list(draws.counter[1:3]) != [7, 5]:
        raise TypeError("this numpy keeps Philox's state in another way")
    return draws


def _words(address: int, count: int) -> Words:
    """Return the words at an address."""
    return np.ctypeslib.as_array((ctypes.c_uint64 * count).from_address(address))


@also_in_kernels
def place(draws: Draws, stream: int, worker: int, k: int) -> np.random.Generator:
    """Return the generator placed at (stream, worker, k); see `RandomStreams.generator`."""
    counter, state = draws.counter, draws.state
    counter[0], counter[1], counter[2] = 0, k, worker
    draws.key[1] = stream
    state[_BUFFER_EMPTY] = 4  # all four words of the buffer were drawn
    state[_FLAGS] = 0
    return draws.generator


@also_in_kernels
def coin(draws: Draws, stream: int, worker: int, k: int, out: Words) -> None:
    """Write words of a fair coin, from the first one on, to `out`; in compiled code only."""
    bits = place(draws, stream, worker, k).bit_generator
    for w in range(out.size):
        out[w] = _next_word(bits)


def fill_uniform(generator: np.random.Generator, out: Floats) -> None:
    """Write numbers in [0, 1) to `out`."""
    generator.random(out=out)


def fill_normal(generator: np.random.Generator, out: Floats) -> None:
    """Write normal numbers to `out`."""
    generator.standard_normal(out=out)


def draw_weighted(generator: np.random.Generator, edges: Floats, out: Indices) -> None:
    """Write numbers drawn with the weights whose sums are `edges`, the last of which is 1, to `out`."""
    out[:] = np.searchsorted(edges, generator.random(out.size), side="right")


def draw_below(generator: np.random.Generator, count: int, out: Indices) -> None:
    """Write numbers of 0, ..., count - 1 to `out`."""
    out[:] = generator.integers(0, count, size=out.size)


def draw_up_to(generator: np.random.Generator, first: int, step: int, out: Indices) -> None:
    """Write a number of 0, ..., first, then one of 0, ..., first + step, and so on, to `out`."""
    largest = np.arange(first, first + step * out.size, step)
    out[:] = generator.integers(0, largest, endpoint=True)


@overload(fill_uniform, strict=False)
def _fill_uniform(generator: Any, out: Any) -> Any:
    def fill(generator: np.random.Generator, out: Floats) -> None:
        for i in range(out.size):
            out[i] = generator.random()

    return fill


@overload(fill_normal, strict=False)
def _fill_normal(generator: Any, out: Any) -> Any:
    def fill(generator: np.random.Generator, out: Floats) -> None:
        for i in range(out.size):
            out[i] = generator.standard_normal()

    return fill


@overload(draw_weighted, strict=False)
def _draw_weighted(generator: Any, edges: Any, out: Any) -> Any:
    def draw(generator: np.random.Generator, edges: Floats, out: Indices) -> None:
        for i in range(out.size):
            u = generator.random()
            low, high = 0, edges.size
            while low < high:  # how many edges are at most u
                middle = (low + high) // 2
                if edges[middle] <= u:
                    low = middle + 1
                else:
                    high = middle
            out[i] = low

    return draw


@part_of_kernels
def _up_to(bits: Any, largest: int) -> np.int64:
    """Return a number of 0, ..., largest by Lemire's method, as numpy does; where it is 0 nothing is drawn.

    D. Lemire, Fast random integer generation in an interval, ACM TOMACS 29 (2019).
    """
    if largest == 0:
        return np.int64(0)
    if largest > _HALF:
        return np.int64(_whole_word(bits, np.uint64(largest)))
    count = np.uint64(largest + 1)
    product = np.uint64(_next_half(bits)) * count
    if product & _HALF < count:
        rejected = (_HALF - np.uint64(largest)) % count
        while product & _HALF < rejected:
            product = np.uint64(_next_half(bits)) * count
    return np.int64(product >> np.uint64(32))


@overload(draw_below, strict=False)
def _draw_below(generator: Any, count: Any, out: Any) -> Any:
    def draw(generator: np.random.Generator, count: int, out: Indices) -> None:
        for i in range(out.size):
            out[i] = _up_to(generator.bit_generator, count - 1)

    return draw


@overload(draw_up_to, strict=False)
def _draw_up_to(generator: Any, first: Any, step: Any, out: Any) -> Any:
    def draw(generator: np.random.Generator, first: int, step: int, out: Indices) -> None:
        for i in range(out.size):
            out[i] = _up_to(generator.bit_generator, first + step * i)

    return draw
