"""The bit planes against plain counts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpisign.aggregation import bitplanes, majority_vote


def packed(rows):
    table = np.zeros((len(rows), bitplanes.words(rows.shape[1])), dtype=np.uint64)
    for row, plane in zip(rows, table, strict=True):
        bitplanes.pack(row, plane)
    return table


@pytest.mark.parametrize("workers", range(1, 66))
@settings(max_examples=100)
@given(d=st.integers(1, 200), seed=st.integers(0, 2**32 - 1))
def test_vote_is_the_sign_of_the_sum(workers, d, seed):
    rows = np.random.default_rng(seed).integers(-1, 2, (workers, d)).astype(float)
    nonnegative_rows = np.zeros((workers, bitplanes.words(d)), dtype=np.uint64)
    for row, plane in zip(rows, nonnegative_rows, strict=True):
        bitplanes.pack_nonnegative(row, plane)
    positive, nonnegative = np.zeros((2, bitplanes.words(d)), dtype=np.uint64)
    ties = majority_vote.vote(packed(rows), nonnegative_rows, positive, nonnegative)
    signs = np.zeros(d, dtype=np.int8)
    bitplanes.unpack(positive, nonnegative, signs)
    expected = np.sign(rows.sum(axis=0))
    assert (signs == expected).all()
    assert ties == (expected == 0).any()


@pytest.mark.parametrize("workers", [2**15 - 1, 2**15, 40001])
def test_so_many_ballots_that_the_counters_need_sixteen_digits(workers):
    rows = np.random.default_rng(workers).integers(0, 2**64, (workers, 1), dtype=np.uint64)
    counts = np.unpackbits(rows.view(np.uint8), axis=1).sum(axis=0, dtype=int)
    positive, nonnegative = np.zeros((2, 1), dtype=np.uint64)
    majority_vote.vote(rows, rows[:0], positive, nonnegative)
    found = np.unpackbits(positive.view(np.uint8)), np.unpackbits(nonnegative.view(np.uint8))
    assert (found[0] == (2 * counts > workers)).all()
    assert (found[1] == (2 * counts >= workers)).all()


@settings(max_examples=100)
@given(
    sizes=st.lists(st.integers(0, 20), min_size=1, max_size=5).filter(any),
    d=st.integers(1, 20000),
    with_zeros=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_counts_of_several_nodes_give_the_vote_of_all_rows(sizes, d, with_zeros, seed):
    """Nodes of unequal size, some without a worker; the counts are also compared with a plain count."""
    rng, width = np.random.default_rng(seed), bitplanes.words(d)
    digits, header = max(sizes).bit_length(), 3
    tables = np.zeros((2, len(sizes), header + digits * width), dtype=np.uint64)
    rows = rng.integers(0, 2**64, (2, sum(sizes), width), dtype=np.uint64)
    rows[1] |= rows[0]  # a nonnegative plane has the bits of the positive one
    for kind in range(2):
        for table, node in zip(tables[kind], np.split(rows[kind], np.cumsum(sizes)[:-1]), strict=True):
            counts = table[header:].reshape(digits, width)
            majority_vote.count(node, counts)
            bits = np.unpackbits(counts.view(np.uint8), axis=1).astype(int)
            plain = np.unpackbits(node.view(np.uint8), axis=1).astype(int).sum(axis=0)
            assert ((2 ** np.arange(digits)) @ bits == plain).all()
    nonnegative = slice(None) if with_zeros else slice(0)
    found, expected = np.zeros((2, 2, width), dtype=np.uint64)
    cast = sum(sizes) * (2 if with_zeros else 1)
    tied = majority_vote.vote_counts(tables[0], tables[1][nonnegative], digits, cast, *found)
    assert tied == majority_vote.vote(rows[0], rows[1][nonnegative], *expected)
    assert (found == expected).all()


@pytest.mark.parametrize("real", [np.float64, np.float32])
@pytest.mark.parametrize("rest", [0, 1, 200])
def test_the_norm_is_the_sum_of_the_slices_norms(real, rest):
    """In their order, so that whoever packs slices by themselves has the same bits; and it is the l1 norm."""
    vector = np.random.default_rng(rest).standard_normal(2 * bitplanes.SLICE + rest).astype(real)
    plane, part = (
        np.zeros(bitplanes.words(len(vector)), np.uint64),
        np.zeros(bitplanes.words(bitplanes.SLICE), np.uint64),
    )
    norm, zeros = bitplanes.pack(vector, plane)
    total = 0.0
    for start in range(0, len(vector), bitplanes.SLICE):
        piece = vector[start : start + bitplanes.SLICE]
        total += bitplanes.pack(piece, part[: bitplanes.words(len(piece))])[0]
        assert (plane[start // 64 :][: bitplanes.words(len(piece))] == part[: bitplanes.words(len(piece))]).all()
    assert (norm, zeros) == (total, False)
    assert norm == pytest.approx(math.fsum(map(abs, vector.tolist())), rel=1e-14)
