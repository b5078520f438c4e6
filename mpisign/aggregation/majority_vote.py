"""Take the majority vote on packed ballots: 64 coordinates at once, counted in binary digits that are planes, too.

A vote can be taken in two stages: each node counts its own ballots, and the counts are added where they come together.
"""

import numpy as np

from mpisign.arrays import Words
from mpisign.jit import kernel, part_of_kernels

_BLOCK = 256
"""Words that are counted at a time: sixteen counters of them fit the first-level cache."""

_CARRY = 31
"""The row of the counters that holds what is carried on; the others are the counter's bits: up to 2^31 ballots."""


@part_of_kernels
def _add3(a: np.uint64, b: np.uint64, c: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return (sum, carry) of a full adder on 64 coordinates at once."""
    half = a ^ b
    return half ^ c, (a & b) | (half & c)


@part_of_kernels
def _add8(
    counter: Words, r0: Words, r1: Words, r2: Words, r3: Words, r4: Words, r5: Words, r6: Words, r7: Words, n: int
) -> None:
    """Add eight ballots to the three low bits of the counters with carry-save adders; the eights are carried."""
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
def _carry_on(counter: Words, digit: int, top: int, n: int) -> None:
    """Add what is carried to the counters, from that binary digit on."""
    for k in range(digit, top + 1):
        for j in range(n):
            old = counter[k, j]
            counter[k, j] = old ^ counter[_CARRY, j]
            counter[_CARRY, j] &= old


@part_of_kernels
def _ballot(rows: Words, nothing: Words, m: int, start: int, stop: int) -> Words:
    """Return the words start..stop of row m, or of `nothing` past the last row."""
    return rows[m, start:stop] if m < rows.shape[0] else nothing[: stop - start]


@part_of_kernels
def _tally(counter: Words, top: int, rows: Words, start: int, stop: int, nothing: Words) -> None:
    """Count the words start..stop of every row; past the last row there is `nothing`."""
    # Eight at a time: seven full adders, and one carry into the higher digits for all of them.
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
        _carry_on(counter, 3, top, stop - start)


@part_of_kernels
def _preset(counter: Words, bits: int, value: int, n: int) -> None:
    """Set the counters of n words to `value`."""
    for k in range(bits):
        # All ones or all zeros: the same digit of 64 counters at once.
        fill = np.uint64(0) - np.uint64((value >> k) & 1)
        for j in range(n):
            counter[k, j] = fill


@part_of_kernels
def _decide(counter: Words, top: int, positive: Words, nonnegative: Words, even: np.uint64) -> np.uint64:
    """Read the vote off the counters: the majority and, all ones below it, the ties; return all ties, or-ed."""
    tied = counter[_CARRY]
    for j in range(positive.size):
        tied[j] = even
    for k in range(top):
        for j in range(positive.size):
            tied[j] &= counter[k, j]
    ties = np.uint64(0)
    for j in range(positive.size):
        majority = counter[top, j]
        positive[j], nonnegative[j] = (
            majority,
            majority | tied[j],
        )  # all ones below a majority would be more than all ballots
        ties |= tied[j]
    return ties


@part_of_kernels
def _top(ballots: int) -> int:
    """Return the counters' highest bit, counted from 0, for a majority of so many."""
    top = 3
    while 1 << top < ballots // 2 + 1:
        top += 1
    return top


@part_of_kernels
def _few(rows: Words, nonnegative_rows: Words, ballots: int, positive: Words, nonnegative: Words) -> np.uint64:
    """Write the vote of one, two or three ballots, without counting; return all ties, or-ed."""
    first, nonnegative_first = rows.shape[1] - positive.size, nonnegative_rows.shape[1] - positive.size
    ties = np.uint64(0)
    for j in range(positive.size):
        a = rows[0, first + j]
        if ballots == 1:
            positive[j] = nonnegative[j] = a
            continue
        b = rows[1, first + j] if rows.shape[0] > 1 else nonnegative_rows[0, nonnegative_first + j]
        both, either = a & b, a | b
        if ballots == 2:
            positive[j], nonnegative[j] = both, either
            ties |= both ^ either
        else:
            positive[j] = nonnegative[j] = both | (rows[2, first + j] & either)
    return ties


@kernel("boolean(uint64[:, ::1], uint64[:, ::1], uint64[::1], uint64[::1])")
def vote(rows: Words, nonnegative_rows: Words, positive: Words, nonnegative: Words) -> bool:
    """Take the majority vote over B ballots, the rows of both tables.

    positive = [2 c > B] and nonnegative = [2 c >= B], c the set bits of a coordinate. With nonnegative rows the vote is
    the sign of the sum of the workers' ternary signs. The counters start at 2^top - (B // 2 + 1), so that their top bit
    is the majority and all ones below it a tie.

    Args:
        rows: shape (M, header + W); only the last W columns are read.
        nonnegative_rows: shape (0 or M, W); only the last W columns are read, too.
        positive: shape (W,), overwritten.
        nonnegative: shape (W,), overwritten.

    Returns:
        Whether some coordinate is tied.
    """
    first, nonnegative_first = rows.shape[1] - positive.size, nonnegative_rows.shape[1] - positive.size
    ballots = rows.shape[0] + nonnegative_rows.shape[0]
    if ballots <= 3:
        return bool(_few(rows, nonnegative_rows, ballots, positive, nonnegative))
    threshold, top = ballots // 2 + 1, _top(ballots)
    even = np.uint64(0) - np.uint64(ballots % 2 == 0)
    counter = np.empty((_CARRY + 1, _BLOCK), np.uint64)
    nothing = np.zeros(_BLOCK, np.uint64)
    ties = np.uint64(0)
    for start in range(0, positive.size, _BLOCK):
        stop = min(start + _BLOCK, positive.size)
        _preset(counter, top + 1, (1 << top) - threshold, stop - start)
        _tally(counter, top, rows, first + start, first + stop, nothing)
        _tally(counter, top, nonnegative_rows, nonnegative_first + start, nonnegative_first + stop, nothing)
        ties |= _decide(counter, top, positive[start:stop], nonnegative[start:stop], even)
    return bool(ties)


@kernel("void(uint64[:, ::1], uint64[:, ::1])")
def count(rows: Words, counts: Words) -> None:
    """Count how many rows have each bit set: in one plane a binary digit, the lowest first.

    Args:
        rows: shape (M, header + W).
        counts: shape (P, W), P = the binary digits of M, overwritten.
    """
    first, digits = rows.shape[1] - counts.shape[1], counts.shape[0]
    # `_add8` writes three digits and carries into the fourth, however few ballots there are.
    top = max(3, digits - 1)
    counter = np.empty((_CARRY + 1, _BLOCK), np.uint64)
    nothing = np.zeros(_BLOCK, np.uint64)
    for start in range(0, counts.shape[1], _BLOCK):
        stop = min(start + _BLOCK, counts.shape[1])
        _preset(counter, top + 1, 0, stop - start)
        _tally(counter, top, rows, first + start, first + stop, nothing)
        for k in range(digits):
            counts[k, start:stop] = counter[k, : stop - start]


@part_of_kernels
def _add_counts(counter: Words, top: int, counts: Words, width: int, digits: int, start: int, n: int) -> None:
    """Add n words of every row's counts, each plane from its own binary digit on."""
    first = counts.shape[1] - digits * width + start
    for row in range(counts.shape[0]):
        for digit in range(min(digits, top + 1)):
            for j in range(n):
                counter[_CARRY, j] = counts[row, first + digit * width + j]
            _carry_on(counter, digit, top, n)


@kernel("boolean(uint64[:, ::1], uint64[:, ::1], int64, int64, uint64[::1], uint64[::1])")
def vote_counts(
    counts: Words, nonnegative_counts: Words, digits: int, ballots: int, positive: Words, nonnegative: Words
) -> bool:
    """Vote from counts of B = `ballots` ballots in all: the same planes and the same answer as `vote`.

    Args:
        counts: shape (nodes, header + P W), the P planes of `count` one after the other.
        nonnegative_counts: those of the nonnegative planes, of the same shape; it may have no rows.
        digits: P.
        ballots: B.
        positive: shape (W,), overwritten.
        nonnegative: shape (W,), overwritten.

    Returns:
        Whether some coordinate is tied.
    """
    threshold, top = ballots // 2 + 1, _top(ballots)
    even = np.uint64(0) - np.uint64(ballots % 2 == 0)
    counter = np.empty((_CARRY + 1, _BLOCK), np.uint64)
    ties = np.uint64(0)
    for start in range(0, positive.size, _BLOCK):
        stop = min(start + _BLOCK, positive.size)
        _preset(counter, top + 1, (1 << top) - threshold, stop - start)
        _add_counts(counter, top, counts, positive.size, digits, start, stop - start)
        _add_counts(counter, top, nonnegative_counts, positive.size, digits, start, stop - start)
        ties |= _decide(counter, top, positive[start:stop], nonnegative[start:stop], even)
    return bool(ties)
