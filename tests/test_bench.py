"""The benchmark runs to its end and measures something; what it measures is no test's business."""

import re

import pytest

from mpisign.cli import main


@pytest.mark.ranks
def test_bench_gives_every_ratio(capsys):
    """The README's command; its tour leaves it to this test, as it takes some seconds."""
    assert main(["bench", "--quick"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["ratio", "median", "quartiles", "goal"]
    unmeasured = [row for row in rows if " not measured: " in row]
    assert all("torch" in row for row in unmeasured)
    found = [
        re.fullmatch(r"(.+?) {2,}([\d.e+-]+) +([\d.e+-]+) - ([\d.e+-]+) *(?:[<>]= [\d.]+)? *", row)
        for row in rows
        if row not in unmeasured
    ]
    assert all(found)
    assert len({row[1] for row in found}) == len(rows) - len(unmeasured) >= 10
    for row in found:
        median, low, high = (float(number) for number in row.groups()[1:4])
        assert 0 < low <= median <= high < 1e9
