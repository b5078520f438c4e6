"""Pack signs into bit planes, one bit a coordinate, and step with them; `majority_vote`, beside it, is their vote.

A vector of length d has W = ceil(d / 64) words: bit j of word w is coordinate 64 w + j. Two planes say
what its signs are: the *positive* plane [v > 0] and the *nonnegative* plane [v >= 0]; sign = positive + nonnegative -
1. They differ where v is zero; where nothing is, the positive plane says it all. Padding bits are 0.
"""

import numpy as np

from mpisign.arrays import Floats, Signs, Words
from mpisign.fixed_order import sum_of_lanes
from mpisign.jit import for_both, kernel, part_of_kernels

SLICE = 2**16
"""Coordinates whose sizes are added up by themselves, so that slices can be packed in any order, or side by side.

512 kB of float64, in the second-level cache.
"""


def words(dimension: int) -> int:
    """Return W = ceil(d / 64), the words of a plane."""
    return -(-dimension // 64)


@part_of_kernels
def _pack_word(chunk: Floats, lanes: Floats) -> tuple[np.uint64, bool]:
    """Return the bits of at most 64 entries, and whether one is zero; add their sizes to `lanes`, shape (64,)."""
    bits = np.uint64(0)
    zeros = False
    for j in range(chunk.size):
        value = chunk[j]
        bits |= np.uint64(value > 0.0) << np.uint64(j)
        zeros |= value == 0.0
        lanes[j] += abs(value)
    return bits, zeros


@part_of_kernels
def _pack_few(vector: Floats, positive: Words) -> tuple[float, bool]:
    """Do what `pack` does with at most four entries, in the same order, without the other lanes, which are 0."""
    bits, zeros, even, odd = np.uint64(0), False, 0.0, 0.0
    for j in range(vector.size):
        value = vector[j]
        bits |= np.uint64(value > 0.0) << np.uint64(j)
        zeros |= value == 0.0
        if j % 2:
            odd += abs(value)
        else:
            even += abs(value)
    positive[0] = bits
    return even + odd, zeros


@part_of_kernels
def _pack_slice(vector: Floats, positive: Words, lanes: Floats) -> tuple[float, bool]:
    """Do what `pack` does with at most SLICE entries; `lanes`, shape (64,), is overwritten."""
    zeros = False
    lanes[:] = 0.0
    full = vector.size // 64
    for w in range(full):  # _pack_word with a length that the compiler knows: five times as fast
        bits = np.uint64(0)
        chunk = vector[64 * w : 64 * w + 64]
        for j in range(64):
            value = chunk[j]
            bits |= np.uint64(value > 0.0) << np.uint64(j)
            zeros |= value == 0.0
            lanes[j] += abs(value)
        positive[w] = bits
    if full < positive.size:
        positive[full], zero = _pack_word(vector[64 * full :], lanes)
        zeros |= zero
    return sum_of_lanes(lanes, 64), zeros


@kernel(*for_both("Tuple((float64, boolean))(float64[::1], uint64[::1])"))
def pack(vector: Floats, positive: Words) -> tuple[float, bool]:
    """Write the positive plane of `vector`, shape (d,), into `positive`, shape (W,).

    A NaN has bit 0 and makes the norm NaN.

    Returns:
        The vector's l1 norm, the sum of its slices' norms in their order; each of them is summed in 64 lanes, which are
        then added in a fixed tree. And whether an entry is zero.
    """
    if vector.size <= 4:
        return _pack_few(vector, positive)
    lanes = np.empty(64)
    norm, zeros = 0.0, False
    for start in range(0, vector.size, SLICE):
        words_before = start // 64
        planes = positive[words_before : words_before + SLICE // 64]
        part, zero = _pack_slice(vector[start : start + SLICE], planes, lanes)
        norm += part
        zeros |= zero
    return norm, zeros


@kernel(*for_both("void(float64[::1], uint64[::1])"))
def pack_nonnegative(vector: Floats, nonnegative: Words) -> None:
    """Write the nonnegative plane [v >= 0] of `vector`, shape (d,), into `nonnegative`, shape (W,)."""
    for w in range(nonnegative.size):
        bits = np.uint64(0)
        chunk = vector[64 * w : 64 * w + 64]
        for j in range(chunk.size):
            bits |= np.uint64(chunk[j] >= 0.0) << np.uint64(j)
        nonnegative[w] = bits


@kernel(*for_both("void(float64[::1], float64, uint64[::1])"))
def subtract(x: Floats, c: float, positive: Words) -> None:
    """Subtract c, rounded as x is, from x_i where the bit is 1, add it where it is 0; in place, shape (d,)."""
    size = x.dtype.type(c)
    for w in range(positive.size):
        word = positive[w]
        chunk = x[64 * w : 64 * w + 64]
        for j in range(chunk.size):
            chunk[j] -= size if (word >> np.uint64(j)) & np.uint64(1) else -size


@kernel(*for_both("void(float64[::1], float64, uint64[::1], uint64[::1])"))
def subtract_nonnegative(x: Floats, c: float, positive: Words, nonnegative: Words) -> None:
    """Subtract c sign_i, c rounded as x is, from x_i in place, shape (d,); where the planes differ x_i is left."""
    size = x.dtype.type(c)
    for w in range(positive.size):
        up, moving = positive[w], ~(positive[w] ^ nonnegative[w])
        chunk = x[64 * w : 64 * w + 64]
        for j in range(chunk.size):
            if (moving >> np.uint64(j)) & np.uint64(1):
                chunk[j] -= size if (up >> np.uint64(j)) & np.uint64(1) else -size


@kernel("void(uint64[::1], uint64[::1], uint64[::1])")
def resolve_zeros_by_coin(positive: Words, nonnegative: Words, coin: Words) -> None:
    """Set the positive plane to the coin's bits where the planes differ; shapes (W,).

    The nonnegative plane is void after that.
    """
    for w in range(positive.size):
        positive[w] |= nonnegative[w] & coin[w]


@kernel("void(uint64[::1], uint64[::1], int8[::1])")
def unpack(positive: Words, nonnegative: Words, signs: Signs) -> None:
    """Write positive + nonnegative - 1 to `signs`, int8, shape (d,)."""
    one = np.uint64(1)
    for i in range(signs.size):
        bit = np.uint64(i % 64)
        signs[i] = np.int8((positive[i // 64] >> bit) & one) + np.int8((nonnegative[i // 64] >> bit) & one) - np.int8(1)


@part_of_kernels
def _ones(word: np.uint64) -> int:
    """Return how many bits of a word are set: counted in pairs, fours and eights; the product adds the eight bytes."""
    pairs = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    fours = (pairs & np.uint64(0x3333333333333333)) + ((pairs >> np.uint64(2)) & np.uint64(0x3333333333333333))
    eights = (fours + (fours >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return int((eights * np.uint64(0x0101010101010101)) >> np.uint64(56))


@kernel("int64(uint64[::1], uint64[::1])")
def count_zeros(positive: Words, nonnegative: Words) -> int:
    """Return the number of coordinates where the planes differ; shapes (W,)."""
    total = 0
    for w in range(positive.size):
        total += _ones(positive[w] ^ nonnegative[w])
    return total
