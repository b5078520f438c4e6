"""The bit planes against plain counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpisign import ballots, planes


def packed(rows):
    table = np.zeros((len(rows), planes.words(rows.shape[1])), dtype=np.uint64)
    for row, plane in zip(rows, table, strict=True):
        planes.pack(row, plane)
    return table


@pytest.mark.parametrize("workers", range(1, 66))
@given(d=st.integers(1, 200), seed=st.integers(0, 2**32 - 1))
def test_vote_is_the_sign_of_the_sum(workers, d, seed):
    rows = np.random.default_rng(seed).integers(-1, 2, (workers, d)).astype(float)
    weak_rows = np.zeros((workers, planes.words(d)), dtype=np.uint64)
    for row, plane in zip(rows, weak_rows, strict=True):
        planes.pack_weak(row, plane)
    strict, weak = np.zeros((2, planes.words(d)), dtype=np.uint64)
    ties = ballots.vote(packed(rows), weak_rows, strict, weak)
    signs = np.zeros(d, dtype=np.int8)
    planes.unpack(strict, weak, signs)
    expected = np.sign(rows.sum(axis=0))
    assert (signs == expected).all()
    assert ties == (expected == 0).any()
