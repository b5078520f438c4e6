"""The ledger's entries on files that are not whole, not of the runs that they need, or too short to decide."""

import numpy as np
import pytest

from alone import run_alone
from launch import ROOT
from mpisign.settings import BadInput
from mpisign.trajectory import Trajectory

SHORT = {
    "remark2": ["repeats=2", "iterations=20"],
    "remark5": ["repeats=1", "iterations=30"],
    "theorem1": ["repeats=2", "iterations=20"],
    "workers": ["iterations=30"],
    "ties": ["iterations=30"],
    "ce-b-drift": ["iterations=30"],
    "flipped": ["iterations=30"],
    "flipped-logistic": ["repeats=1", "iterations=5"],
    "figure1": ["repeats=2"],
}
"""A shipped job, and what makes it small."""

NEEDS = {
    "remark-2": "remark2",
    "theorem-1-1": "theorem1",
    "remark-3": "theorem1",
    "remark-4": "theorem1",
    "remark-5": "remark5",
    "figure-1": "figure1",
    "how-many": "workers",
    "ties": "ties",
    "covariance": "ce-b-drift",
    "flips": "flipped",
}
"""An entry, and the job that it is judged on."""


@pytest.fixture(scope="module")
def ledger():
    """The package of analysis/, as a script finds it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "analysis")
        import ledger

        yield ledger


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Job -> the path of its trajectory file."""
    folders = {job: tmp_path_factory.mktemp(job) for job in SHORT}
    return {
        job: run_alone(folder, (ROOT / "jobs" / f"{job}.toml").read_text(), *SHORT[job])
        for job, folder in folders.items()
    }


@pytest.fixture
def file(paths):
    """The file of a job, read anew: a test may change it."""
    return lambda job: Trajectory(paths[job], iterates=True)


@pytest.fixture
def entry(ledger):
    """What the ledger says of a claim on these files, each by its job."""
    return lambda claim, files: ledger.judged(
        getattr(ledger, claim.replace("-", "_")), {job: [file] for job, file in files.items()}
    )


def unbegun(file):
    """As a job that was stopped before its last run leaves it."""
    file.runs[-1].repeats = []


def unended(file):
    """As it is while its first repeat runs."""
    file.runs[0].repeats[0].status = "running"


@pytest.mark.parametrize("stopped", [unbegun, unended])
@pytest.mark.parametrize("claim", NEEDS)
def test_a_file_that_is_not_whole_leaves_a_claim_open(claim, stopped, file, entry):
    partial = file(NEEDS[claim])
    stopped(partial)
    found = entry(claim, {NEEDS[claim]: partial})
    assert found.verdict == "inconclusive"
    assert found.corrected_verdict in (None, "inconclusive")
    assert [line for line in found.evidence if "one is still running, or was cut off" in line] == found.evidence
    assert str(partial.path) in found.evidence[0]
    assert found.figures == ()


@pytest.mark.parametrize("claim", ["remark-3", "remark-4"])
def test_a_run_that_is_called_something_else_is_asked_for(claim, file, entry):
    """The job's name stays when its runs are relabelled."""
    relabelled = file("theorem1")
    for run in relabelled.runs:
        run.label = f"mine, {run.label.partition(' L')[0]}"
    found = entry(claim, {"theorem1": relabelled})
    assert (found.verdict, found.corrected_verdict) == ("inconclusive", "inconclusive")
    assert found.evidence[0].startswith(f"{relabelled.path}: expected ")
    assert {"remark-3": 'the run "alpha L = 1.9"', "remark-4": "per coordinate"}[claim] in found.evidence[0]


def test_repeats_that_do_not_pair_are_refused(file, entry):
    """One of gd's diverged."""
    other = file("remark2")
    other.runs[0].repeats[1].status = "diverged"
    found = entry("remark-2", {"remark2": other})
    assert found.verdict == "inconclusive"
    assert found.evidence == [f"{other.path}: expected the same complete repeats of gd and ef-sign-shifted"]


def test_files_that_decide_nothing_take_no_verdict_away(file, entry):
    """Of breast-cancer there is one repeat only; and then one that is still running."""
    alone = entry("flips", {"flipped": file("flipped")})
    for break_, words in ((lambda file: None, "for several B, all complete"), (unended, "still running")):
        data = file("flipped-logistic")
        break_(data)
        found = entry("flips", {"flipped": file("flipped"), "flipped-logistic": data})
        assert (found.verdict, found.corrected_verdict) == (alone.verdict, alone.corrected_verdict)
        assert found.evidence[:-1] == alone.evidence
        assert words in found.evidence[-1]
        assert len(found.figures) == 1


def test_a_figure_that_cannot_be_drawn_is_a_line_and_not_the_end(ledger, file):
    import page

    def refuses():
        raise BadInput("two.h5", "expected another batch size")

    drawing = ledger.entry.Drawing("Gaps.", "Lines.", refuses)
    claim = ledger.entry.Entry("a", "A", "", "It is.", "a.toml", ["one"], figures=[drawing])
    html = page.render({"Part": [claim]}, [file("theorem1")])
    assert "<figcaption>Gaps. Not drawn: two.h5: expected another batch size</figcaption>" in html
    assert "<img " not in html


@pytest.mark.parametrize("claim", ["how-many", "ties", "covariance", "flips"])
def test_wide_intervals_confirm_nothing(claim, file, entry):
    """Thirty draws have the printed claims, two of which are false, in their intervals."""
    job = NEEDS[claim]
    found = entry(claim, {job: file(job)})
    assert "confirmed" not in (found.verdict, found.corrected_verdict)
    assert any("half-widths" in line for line in found.evidence)


def test_what_agrees_is_confirmed_when_it_is_known_well_enough(ledger):
    """Of two means with Student's intervals at 97.5 % each: by scipy's own, and by hand."""
    import scipy.stats

    from ledger.beyond import RESOLUTION, agree, joint

    rng = np.random.default_rng(3)
    many, few = (rng.choice([-1.0, 1.0], size=n, p=[0.4, 0.6]) for n in (4000, 30))
    own = scipy.stats.ttest_1samp(few, 0.0).confidence_interval(0.975)
    assert joint([many, few])[1] == pytest.approx((own.high - own.low) / 2)
    assert joint([many, few])[0] < RESOLUTION < joint([many, few])[1]
    assert agree([many, many], [0.2, 0.2]) == "confirmed"
    assert agree([many, few], [0.2, 0.2]) == agree([few], [0.2]) == "inconclusive"
    assert agree([many, few], [0.3, 0.2]) == agree([few], [-0.9]) == "violated"


def test_draws_without_spread_decide_nothing(ledger):
    """Thirty votes that are all right have p = 1 and no interval: p may be 0.99."""
    from ledger.beyond import agree

    assert agree([np.ones(30)], [0.99]) == agree([np.ones(30)], [1.0]) == "inconclusive"
