"""Bit planes: signs packed one bit a coordinate, their majority vote, and a packed step.

A vector of length d has W = ceil(d / 64) words: bit j of word w is coordinate 64 w + j. Two planes say
what its signs are: the *strict* plane [v > 0] and the *weak* plane [v >= 0]; sign = strict + weak - 1. They
differ where v is zero; where nothing is, the strict plane says it all. Padding bits are 0.
"""

import numpy as np

from mpisign.arrays import Floats, Signs, Words
from mpisign.kernels import kernel, part_of_kernels

_BLOCK = 256
"""Words that are counted at a time: sixteen counters of them fit the first-level cache."""

_CARRY = 15
"""The row of the counters that holds what is carried on; the others are the counter's bits."""


def words(dimension: int) -> int:
    """W = ceil(d / 64), the words of a plane."""
    return -(-dimension // 64)


@part_of_kernels
def _pack_word(chunk: Floats, lanes: Floats) -> tuple[np.uint64, bool]:
    bits = np.uint64(0)
    zeros = False
    for j in range(chunk.size):
        value = chunk[j]
        bits |= np.uint64(value > 0.0) << np.uint64(j)
        zeros |= value == 0.0
        lanes[j] += abs(value)
    return bits, zeros


@kernel("Tuple((float64, boolean))(float64[::1], uint64[::1])")
def pack(vector: Floats, strict: Words) -> tuple[float, bool]:
    """Write the strict plane of `vector`, shape (d,), into `strict`, shape (W,).

    Returns its l1 norm, summed in 64 lanes that are then added in a fixed tree, and whether an entry is zero. A
    NaN has bit 0 and makes the norm NaN.
    """
    lanes = np.zeros(64)
    zeros = False
    full = vector.size // 64
    for w in range(full):  # _pack_word with a length that the compiler knows: five times as fast
        bits = np.uint64(0)
        chunk = vector[64 * w : 64 * w + 64]
        for j in range(64):
            value = chunk[j]
            bits |= np.uint64(value > 0.0) << np.uint64(j)
            zeros |= value == 0.0
            lanes[j] += abs(value)
        strict[w] = bits
    if full < strict.size:
        strict[full], zero = _pack_word(vector[64 * full :], lanes)
        zeros |= zero
    width = 32
    while width:
        for j in range(width):
            lanes[j] += lanes[j + width]
        width //= 2
    return lanes[0], zeros


@kernel("void(float64[::1], uint64[::1])")
def pack_weak(vector: Floats, weak: Words) -> None:
    """Write the weak plane [v >= 0] of `vector`, shape (d,), into `weak`, shape (W,)."""
    for w in range(weak.size):
        bits = np.uint64(0)
        chunk = vector[64 * w : 64 * w + 64]
        for j in range(chunk.size):
            bits |= np.uint64(chunk[j] >= 0.0) << np.uint64(j)
        weak[w] = bits


@kernel("void(float64[::1], float64, uint64[::1])")
def subtract(x: Floats, c: float, strict: Words) -> None:
    """x_i <- x_i - c where the bit is 1, x_i + c where it is 0; in place, shape (d,)."""
    for w in range(strict.size):
        word = strict[w]
        chunk = x[64 * w : 64 * w + 64]
        for j in range(chunk.size):
            chunk[j] -= c if (word >> np.uint64(j)) & np.uint64(1) else -c


@kernel("void(float64[::1], float64, uint64[::1], uint64[::1])")
def subtract_weak(x: Floats, c: float, strict: Words, weak: Words) -> None:
    """x_i <- x_i - c sign_i in place, shape (d,); where the planes differ x_i is left as it is."""
    for w in range(strict.size):
        positive, moving = strict[w], ~(strict[w] ^ weak[w])
        chunk = x[64 * w : 64 * w + 64]
        for j in range(chunk.size):
            if (moving >> np.uint64(j)) & np.uint64(1):
                chunk[j] -= c if (positive >> np.uint64(j)) & np.uint64(1) else -c


@kernel("void(uint64[::1], uint64[::1], uint64[::1])")
def settle(strict: Words, weak: Words, coin: Words) -> None:
    """Where the planes differ the strict one takes the coin's bit; shapes (W,). The weak one is then void."""
    for w in range(strict.size):
        strict[w] |= weak[w] & coin[w]


@kernel("void(uint64[::1], uint64[::1], int8[::1])")
def unpack(strict: Words, weak: Words, signs: Signs) -> None:
    """signs = strict + weak - 1, int8, shape (d,)."""
    one = np.uint64(1)
    for i in range(signs.size):
        bit = np.uint64(i % 64)
        signs[i] = np.int8((strict[i // 64] >> bit) & one) + np.int8((weak[i // 64] >> bit) & one) - np.int8(1)


@part_of_kernels
def _ones(word: np.uint64) -> int:
    """The set bits of a word, counted in pairs, fours and eights; the product adds the eight bytes."""
    pairs = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    fours = (pairs & np.uint64(0x3333333333333333)) + ((pairs >> np.uint64(2)) & np.uint64(0x3333333333333333))
    eights = (fours + (fours >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return int((eights * np.uint64(0x0101010101010101)) >> np.uint64(56))


@kernel("int64(uint64[::1], uint64[::1])")
def differing(strict: Words, weak: Words) -> int:
    """The number of coordinates where the planes differ; shapes (W,)."""
    total = 0
    for w in range(strict.size):
        total += _ones(strict[w] ^ weak[w])
    return total


@part_of_kernels
def _add3(a: np.uint64, b: np.uint64, c: np.uint64) -> tuple[np.uint64, np.uint64]:
    """A full adder on 64 coordinates at once: (sum, carry)."""
    half = a ^ b
    return half ^ c, (a & b) | (half & c)


_ROW = "uint64[::1], "


@part_of_kernels
def _add8(
    counter: Words, r0: Words, r1: Words, r2: Words, r3: Words, r4: Words, r5: Words, r6: Words, r7: Words, n: int
) -> None:
    """Add eight ballots to the three low bits of the counters with carry-save adders; the eights are left over."""
    for j in range(n):
        ones, a = _add3(counter[0, j], r0[j], r1[j])
        ones, b = _add3(ones, r2[j], r3[j])
        ones, c = _add3(ones, r4[j], r5[j])
        ones, d = _add3(ones, r6[j], r7[j])
        twos, e = _add3(counter[1, j], a, b)
        twos, f = _add3(twos, c, d)
        fours, carry = _add3(counter[2, j], e, f)
        counter[0, j], counter[1, j], counter[2, j], counter[_CARRY, j] = ones, twos, fours, carry


@part_of_kernels
def _ballot(rows: Words, nothing: Words, m: int, start: int, stop: int) -> Words:
    return rows[m, start:stop] if m < rows.shape[0] else nothing[: stop - start]


@part_of_kernels
def _tally(counter: Words, top: int, rows: Words, start: int, stop: int, nothing: Words) -> None:
    """Count the words start..stop of every row; past the last row there is `nothing`."""
    for m in range(0, rows.shape[0], 8):
        _add8(
            counter,
            _ballot(rows, nothing, m, start, stop),
            _ballot(rows, nothing, m + 1, start, stop),
            _ballot(rows, nothing, m + 2, start, stop),
            _ballot(rows, nothing, m + 3, start, stop),
            _ballot(rows, nothing, m + 4, start, stop),
            _ballot(rows, nothing, m + 5, start, stop),
            _ballot(rows, nothing, m + 6, start, stop),
            _ballot(rows, nothing, m + 7, start, stop),
            stop - start,
        )
        for k in range(3, top + 1):
            for j in range(stop - start):
                old = counter[k, j]
                counter[k, j] = old ^ counter[_CARRY, j]
                counter[_CARRY, j] &= old


@part_of_kernels
def _preset(counter: Words, bits: int, value: int, n: int) -> None:
    """The counters of n words all start at `value`."""
    for k in range(bits):
        fill = np.uint64(0) - np.uint64((value >> k) & 1)
        for j in range(n):
            counter[k, j] = fill


@part_of_kernels
def _decide(counter: Words, top: int, strict: Words, weak: Words, even: np.uint64) -> np.uint64:
    """Read the vote off the counters: the majority and, all ones below it, the ties; returns all ties, or-ed."""
    tied = counter[_CARRY]
    for j in range(strict.size):
        tied[j] = even
    for k in range(top):
        for j in range(strict.size):
            tied[j] &= counter[k, j]
    ties = np.uint64(0)
    for j in range(strict.size):
        majority = counter[top, j]
        tie = tied[j] & ~majority
        strict[j], weak[j] = majority, majority | tie
        ties |= tie
    return ties


@kernel("boolean(uint64[:, ::1], uint64[:, ::1], uint64[::1], uint64[::1])")
def vote(rows: Words, weak_rows: Words, strict: Words, weak: Words) -> bool:
    """Majority vote over B ballots, the rows of both tables: strict = [2 c > B], weak = [2 c >= B], c = set bits.

    rows: shape (M, header + W); weak_rows: shape (0 or M, W); only the last W columns are read. With weak rows the
    vote is the sign of the sum of the workers' ternary signs. strict, weak: shape (W,), overwritten. Returns
    whether some coordinate is tied. The counters start at 2^top - (B // 2 + 1), so that their top bit is the majority
    and all ones below it a tie.
    """
    first, weak_first = rows.shape[1] - strict.size, weak_rows.shape[1] - strict.size
    ballots = rows.shape[0] + weak_rows.shape[0]
    threshold = ballots // 2 + 1
    top = 3
    while 1 << top < threshold:
        top += 1
    even = np.uint64(0) - np.uint64(ballots % 2 == 0)
    counter = np.empty((_CARRY + 1, _BLOCK), np.uint64)
    nothing = np.zeros(_BLOCK, np.uint64)
    ties = np.uint64(0)
    for start in range(0, strict.size, _BLOCK):
        stop = min(start + _BLOCK, strict.size)
        _preset(counter, top + 1, (1 << top) - threshold, stop - start)
        _tally(counter, top, rows, first + start, first + stop, nothing)
        _tally(counter, top, weak_rows, weak_first + start, weak_first + stop, nothing)
        ties |= _decide(counter, top, strict[start:stop], weak[start:stop], even)
    return bool(ties)
