"""What is said of a plan before it runs: ranks that would be idle, and what would keep them at work."""

import re
from types import SimpleNamespace

import pytest

from mpisign.aggregation.exchange import hosted_by
from mpisign.algorithms.methods import Sign
from mpisign.engine.planning import remarks

SAID = r"M = (\d+) on (\d+) ranks: (\d+) of them host (\d+) workers each, (\d+) none, and rank 0 is the server; "
SAID += r"M = (\d+) or (\d+) ranks would leave no rank idle, with (\d+) a rank"


def said(ranks, *workers):
    """The lines on runs of so many workers."""
    return of_runs(ranks, *(SimpleNamespace(workers=M, numbers=range(M), method=Sign()) for M in workers))


def of_runs(ranks, *runs):
    """The lines on these runs."""
    return list(remarks(SimpleNamespace(problem=SimpleNamespace(says_minimum=True, dimension=2), runs=runs), ranks))


def loads(workers, ranks):
    """How many workers each rank but the server hosts."""
    return [len(hosted_by(rank, ranks, workers)) for rank in range(1, ranks)]


@pytest.mark.parametrize(("workers", "ranks"), [(8, 8), (4000, 4000), (128, 120), (9, 8), (4, 4)])
def test_idle_ranks_are_named_with_an_m_and_a_number_of_ranks_that_keep_all_at_work(workers, ranks):
    """M equal to the number of ranks: two workers on one rank, one after the other, and none on nearly half of them."""
    (line,) = said(ranks, 1, workers, ranks - 1)
    m, size, busy, each, none, better, more, fewer = map(int, re.fullmatch(SAID, line).groups())
    found = loads(workers, ranks)
    assert (m, size, busy, each, none) == (workers, ranks, sum(map(bool, found)), max(found), found.count(0))
    assert set(loads(better, ranks)) == {fewer}
    assert fewer == each - 1
    assert max(loads(workers, more)) == fewer
    assert sum(map(bool, loads(workers, more))) == more - 1


@pytest.mark.parametrize(("ranks", "workers"), [(1, 5), (2, 5), (8, 7), (8, 14), (8, 13), (4, 1), (3, 3), (4001, 4000)])
def test_ranks_that_are_used_need_no_word(ranks, workers):
    assert said(ranks, workers) == []


def test_workers_that_were_lost_are_not_counted():
    """Five workers on six ranks had one each; a rank is lost, and the others still have one each."""
    assert of_runs(5, SimpleNamespace(workers=5, numbers=(0, 1, 3, 4), method=Sign())) == []
