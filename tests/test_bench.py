"""The benchmark runs to its end and measures something; what it measures is no test's business."""

import math

from mpisign import bench


def test_bench_gives_every_ratio(monkeypatch):
    monkeypatch.setattr(bench, "_SLICE", 1e-6)
    monkeypatch.setattr(bench, "_ROUNDS", 2)
    monkeypatch.setattr(bench, "_SHAPE", (300, 100))
    monkeypatch.setattr(bench, "_JOB", bench._JOB.replace("20000", "50"))
    ratios = list(bench.measure())
    assert len({ratio.what for ratio in ratios}) == len(ratios) >= 10
    assert all(math.isfinite(ratio.median) and ratio.median > 0 for ratio in ratios)
    assert all(ratio.low <= ratio.median <= ratio.high for ratio in ratios)
    assert len(list(bench.table(iter(ratios)))) == len(ratios) + 1
