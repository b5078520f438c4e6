"""The kept files of Example 5 at the paper's size, and what the page says of them."""

import re

import pytest

from launch import ROOT
from mpisign.audit.figures.paper import example5
from mpisign.storage.trajectory import Trajectory

KEPT = sorted((ROOT / "analysis" / "full-scale").glob("*.h5"))
SECTION = (ROOT / "docs" / "audit" / "found.md").read_text().split("### At the paper's size")[1].split("\n## ")[0]


def cell(finding):
    """A finding as the page has it: the ratio with its interval, in bold where the claim holds."""
    text = "diverged" if finding.diverged else str(finding.evidence)
    return f"**{text}**" if finding.verdict == "confirmed" else text


@pytest.fixture(scope="module")
def kept():
    return [Trajectory(path) for path in KEPT]


def test_every_claim_is_on_the_page_with_what_was_found(kept):
    rows = {first.strip(): last.strip() for first, last in re.findall(r"^\| ([^|]+)\|[^|]+\|([^|]+)\|$", SECTION, re.M)}
    found = example5.table(kept)
    assert len(found) > 20
    assert {claim: cell(finding) for claim, row in found.items() for finding in row.values()}.items() <= rows.items()


def test_they_are_whole_small_and_of_the_jobs_here(kept):
    assert [path.stem for path in KEPT] == ["epsilon-figure2", "epsilon-figure3"]
    assert sum(path.stat().st_size for path in KEPT) < 20e6
    for path, trajectory in zip(KEPT, kept, strict=True):
        job = (ROOT / "jobs" / f"{path.stem}.toml").read_text()
        labels = re.findall(r'^label = "(.*)"$', job, re.M)
        assert [run.label for run in trajectory] == labels
        for run in trajectory:
            assert (run.attributes["samples"], run.attributes["dimension"]) == (400000, 2000)
            assert (len(run.repeats), run.attributes["iterations"]) == (10, 20000)
            assert "running" not in {repeat.status for repeat in run.repeats}
