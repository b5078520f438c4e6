"""The benchmark runs to its end and measures something; what it measures is no test's business."""

import math

from mpisign.bench import measure, table
from mpisign.bench.timing import QUICK


def test_bench_gives_every_ratio():
    ratios = list(measure(QUICK))
    assert len({ratio.what for ratio in ratios}) == len(ratios) >= 10
    assert all(math.isfinite(ratio.median) and ratio.median > 0 for ratio in ratios)
    assert all(ratio.low <= ratio.median <= ratio.high for ratio in ratios)
    assert len(list(table(iter(ratios)))) == len(ratios) + 1
