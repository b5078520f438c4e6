"""The ledger's entries on files that are not whole, not of the runs that they need, or too short to decide."""

import re
from typing import get_args

import numpy as np
import pytest

from alone import run_alone
from launch import ROOT
from mpisign.config.validation import InputError
from mpisign.storage.trajectory import RepeatRecord, RunRecord, Trajectory
from mpisign.theory.verdict import Word

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
    "example2": ["iterations=600"],
}
"""A shipped job, and what makes it small."""

NEEDS = {
    "remark_2": "remark2",
    "theorem_1_1": "theorem1",
    "remark_3": "theorem1",
    "remark_4": "theorem1",
    "remark_5": "remark5",
    "figure_1": "figure1",
    "how_many": "workers",
    "ties": "ties",
    "covariance": "ce-b-drift",
    "flips": "flipped",
}
"""An entry, and the job that it is judged on."""


BEYOND = "mpisign.audit.figures.beyond"


@pytest.fixture(scope="module")
def ledger():
    """The package of analysis/, as a script finds it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "analysis")
        from mpisign.audit import claims

        yield claims


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
def entry(ledger, monkeypatch):
    """What the ledger says of a claim on these files, each by its job; small runs stand for whole ones."""
    monkeypatch.setattr("mpisign.audit.claims.cut_short.shortfall", lambda file: "")
    return lambda claim, files: ledger.judged(getattr(ledger, claim), {job: [file] for job, file in files.items()})


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
    assert [line for line in found.evidence if "was cut off or not begun" in line] == found.evidence
    assert str(partial.path) in found.evidence[0]
    assert found.figures == ()


@pytest.mark.parametrize("claim", ["remark_3", "remark_4"])
def test_a_run_that_is_called_something_else_is_asked_for(claim, file, entry):
    """The job's name stays when its runs are relabelled."""
    relabelled = file("theorem1")
    for run in relabelled.runs:
        run.label = f"mine, {run.label.partition(' L')[0]}"
    found = entry(claim, {"theorem1": relabelled})
    assert (found.verdict, found.corrected_verdict) == ("inconclusive", "inconclusive")
    assert found.evidence[0].startswith(f"{relabelled.path}: expected ")
    assert {"remark_3": 'the run "alpha L = 1.9"', "remark_4": "per coordinate"}[claim] in found.evidence[0]


def test_repeats_that_do_not_pair_are_refused(file, entry):
    """One of gd's diverged."""
    other = file("remark2")
    other.runs[0].repeats[1].status = "diverged"
    found = entry("remark_2", {"remark2": other})
    assert found.verdict == "inconclusive"
    assert found.evidence == [f"{other.path}: expected the same complete repeats of gd and ef-sign-shifted"]


def test_files_that_decide_nothing_take_no_verdict_away(file, entry):
    """Of breast-cancer there is one repeat only; and then one that is still running."""
    alone = entry("flips", {"flipped": file("flipped")})
    for break_, words in (
        (lambda file: None, "expected at least two repeats, all complete, for each of several B"),
        (unended, "cut off or not begun"),
    ):
        data = file("flipped-logistic")
        break_(data)
        found = entry("flips", {"flipped": file("flipped"), "flipped-logistic": data})
        assert (found.verdict, found.corrected_verdict) == (alone.verdict, alone.corrected_verdict)
        assert found.evidence[:-1] == alone.evidence
        assert words in found.evidence[-1]
        assert len(found.figures) == 1


def test_a_figure_that_cannot_be_drawn_is_a_line_and_not_the_end(ledger, file):
    from mpisign.audit.report import page

    def refuses():
        raise InputError("two.h5", "expected another batch size")

    drawing = ledger.claim.Drawing("Gaps.", "Lines.", refuses)
    claim = ledger.claim.Claim("a", "A", "", "It is.", "a.toml", ["one"], figures=[drawing])
    html = page.render({"Part": [claim]}, [file("theorem1")])
    assert "<figcaption>Gaps. Not drawn: two.h5: expected another batch size</figcaption>" in html
    assert "<img " not in html


@pytest.mark.parametrize("claim", ["how_many", "ties", "covariance", "flips"])
def test_wide_intervals_confirm_nothing(claim, file, entry):
    """Thirty draws have the printed claims, two of which are false, in their intervals."""
    job = NEEDS[claim]
    found = entry(claim, {job: file(job)})
    assert "confirmed" not in (found.verdict, found.corrected_verdict)
    assert any("half-widths" in line for line in found.evidence)


def test_what_agrees_is_confirmed_when_it_is_known_well_enough(ledger):
    """Of two means with Student's intervals at 97.5 % each: by scipy's own, and by hand."""
    import scipy.stats

    from mpisign.audit.claims.from_comparisons import RESOLUTION, agree, joint

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
    from mpisign.audit.claims.from_comparisons import agree

    assert agree([np.ones(30)], [0.99]) == agree([np.ones(30)], [1.0]) == "inconclusive"


def made(label, workers, gaps):
    """A run with these final gaps, one a repeat, f* = 0."""
    run, run_repeats = RunRecord.__new__(RunRecord), []
    for number, gap in enumerate(gaps):
        repeat = RepeatRecord.__new__(RepeatRecord)
        repeat.ended = ""
        repeat.number, repeat.status = number, "complete"
        repeat.columns = {"k": np.array([0, 100]), "value": np.array([9.0, gap])}
        run_repeats.append(repeat)
    run.label, run.attributes, run.repeats = label, {"f_star": 0.0, "workers": workers}, run_repeats
    return run


@pytest.mark.parametrize(
    ("finals", "printed", "corrected"),
    [
        ({1: 1.0, 2: 0.98, 3: 0.6, 4: 0.59, 5: 0.4}, "confirmed", "confirmed"),
        ({1: 1.0, 2: 1.02, 3: 0.6, 4: 0.61, 5: 0.4}, "violated", "confirmed"),
        ({1: 1.0, 2: 0.5, 3: 0.4, 4: 0.39, 5: 0.3}, "confirmed", "violated"),
        ({1: 1.0, 2: 0.98, 3: 0.97, 4: 0.96, 5: 0.98}, "violated", "violated"),
        ({1: 1.0, 3: 0.6, 5: 0.4}, "confirmed", "inconclusive"),
    ],
)
def test_more_workers_as_printed_and_corrected(finals, printed, corrected, file, entry, monkeypatch):
    """An even M that is much better than M - 1 breaks the corrected statement alone; without one it is not tested."""
    runs = [made(f"M = {M}", M, gap * np.array([0.999, 1.0, 1.001])) for M, gap in finals.items()]
    monkeypatch.setattr("mpisign.audit.figures.paper.figure3.by_workers", lambda file: runs)
    found = entry("figure_3", {"figure3": file("workers")})
    assert (found.verdict, found.corrected_verdict) == (printed, corrected)


def test_what_a_corrected_statement_denies_confirms_it_when_it_fails(ledger):
    from mpisign.audit.claims.from_comparisons import said, verdict_of
    from mpisign.audit.run_comparison import Finding

    found = {"a": Finding("confirmed", "1"), "b": Finding("violated", "2"), "c": Finding("inconclusive", "3")}
    says = {"a": True, "b": False, "c": None}.get
    assert verdict_of([said(found, says)]) == "confirmed"
    assert verdict_of([said(found, {"a": False, "b": False}.get)]) == "violated"
    assert verdict_of([said(found, {"a": True, "c": False}.get)]) == "inconclusive"


@pytest.mark.parametrize(
    ("claim", "stem", "label", "word"),
    [
        ("figure_2a", 64, "scaled signSGD, per coordinate similar to SGD", "violated"),
        ("figure_2a", 64, "scaled signSGD, per coordinate better than signSGDM, per coordinate", "confirmed"),
        ("figure_2b", 64, "scaled signSGD, as printed similar to SGD", "violated"),
        ("figure_2", 1024, "SGD: (a) better than (b)", "violated"),
        ("figure_2", 64, "signSGD, per coordinate: (a) better than (b)", "confirmed"),
    ],
)
def test_the_corrected_statements_on_figure_2_are_tested_on_what_they_deny(
    claim, stem, label, word, file, entry, monkeypatch
):
    """A claim that a corrected statement denies turns out to hold; one on which it is silent may."""
    from mpisign.audit.run_comparison import Finding

    panel = {"figure_2a": "(a) ", "figure_2b": "(b) ", "figure_2": ""}[claim]
    other = {"figure_2": "signSGDM, as printed: (a) better than (b)"}.get(claim, "EF-signSGD similar to SGD")
    known = [(panel + other, Finding("confirmed", "1")), (panel + label, Finding("confirmed", "1"))]
    trajectory = file("workers")
    trajectory.runs[0].attributes["oracle.batch"] = stem
    monkeypatch.setattr("mpisign.audit.figures.paper.figure2.by_step", lambda file: {})
    monkeypatch.setattr("mpisign.audit.figures.paper.figure2.claims", lambda runs: known)
    assert entry(claim, {"figure2": trajectory}).corrected_verdict == word


def test_what_was_not_recorded_violates_no_bound_on_a_least_value(ledger):
    """(17) bounds the least over all l <= k: above it counts up to the first k that was not recorded."""
    from mpisign.audit.bounds import every_l, judge_least

    k = np.array([1, 2, 3, 5, 9])
    assert [every_l(k), every_l(k[3:]), every_l(k[:3])] == [3, 0, 3]
    bounds = np.full((2, 5), 1.0)
    for at, verdict in ((None, "confirmed"), (2, "violated"), (3, "inconclusive")):
        least = np.full((2, 5), 0.5)
        if at is not None:
            least[1, at] = 1.5
        assert judge_least(least, bounds, every_l(k), 0.0).verdict == verdict
    assert judge_least(np.full((2, 2), 1.5), bounds[:, :2], 0, 0.0).verdict == "inconclusive"


def test_remark_3_is_violated_only_where_every_l_was_recorded(file, entry, monkeypatch):
    other = file("theorem1")
    assert entry("remark_3", {"theorem1": other}).verdict == "violated"
    monkeypatch.setattr("mpisign.audit.claims.remarks.every_l", lambda k: 0)
    assert entry("remark_3", {"theorem1": other}).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("limits", "bits_word", "bandwidth_word"),
    [
        ((2.0, 3.0), "confirmed", "confirmed"),
        ((0.8, 3.0), "inconclusive", "inconclusive"),
        ((0.2, 0.5), "violated", "violated"),
    ],
)
def test_bits_and_bandwidth_are_judged_by_their_intervals(ledger, limits, bits_word, bandwidth_word, file, monkeypatch):
    """SGD's bits over those of scaled signSGD, which has another name; a second is lost."""
    from mpisign.audit.figures.beyond.bits import Cost

    def cost(method, bits, seconds):
        run = made(method, 1, [1.0])
        run.attributes["method"] = method
        return Cost(run, np.ones(401), bits, np.full(401, seconds))

    ratio = np.concatenate([[np.mean(limits)], np.linspace(*limits, 400)])
    row = {"SGD": cost("gd", 100 * ratio, 1.0), "mine": cost("scaled-sign", np.full(401, 100.0), 2.0)}
    monkeypatch.setattr(f"{BEYOND}.bandwidth.lowest", lambda file: (0.1, row, "SGD"))
    monkeypatch.setattr(f"{BEYOND}.bandwidth.findings", lambda file: ["mine: at no bandwidth that scaled"])
    monkeypatch.setattr(f"{BEYOND}.bits.findings", lambda file: ["a line"])
    files = {"bits": [file("workers")]}
    assert ledger.fewer_bits(files).verdict == bits_word
    assert ledger.crossing(files).verdict == bandwidth_word


def test_faster_only_above_a_bandwidth_is_faster_below_none(ledger, monkeypatch):
    """Of 400 resamples 40 send more and compute less."""
    from mpisign.audit.claims.beyond import wins_below

    found = np.concatenate([np.full(361, 5e6), np.full(40, np.nan)])
    monkeypatch.setattr(f"{BEYOND}.bandwidth.lowest", lambda file: (0.1, {"SGD": None, "s": None}, "SGD"))
    monkeypatch.setattr(f"{BEYOND}.bandwidth.crossover", lambda each, other: found)
    monkeypatch.setattr("mpisign.audit.claims.beyond.scaled_sign", lambda file, row: "s")
    assert wins_below(None) == (5e6, 0.0, 5e6)


def test_the_limits_of_remark_5_hold_together(file, entry, monkeypatch):
    """Two sides of three means at 5 % in all; a limit on either side of the bound leaves it open."""
    from mpisign.audit.claims import remarks

    asked = []
    monkeypatch.setattr(remarks, "variance", lambda run, level: asked.append(level) or (0.5, 0.0, 0.9, 1.0))
    found = entry("remark_5", {"remark5": file("remark5")})
    assert asked == pytest.approx([0.05 / 6] * 3)
    assert (found.verdict, found.corrected_verdict) == ("inconclusive", "confirmed")
    monkeypatch.setattr(remarks, "variance", lambda run, level: (0.5, 0.4, 1.1, 1.0))
    found = entry("remark_5", {"remark5": file("remark5")})
    assert (found.verdict, found.corrected_verdict) == ("violated", "inconclusive")


def test_linear_is_told_from_every_power_of_k(ledger):
    from mpisign.audit.claims.section2 import linear

    k = np.arange(1, 301)
    assert linear(0.9**k) == linear(0.36**k) == linear((1 + 1 / k**2) * 0.5**k) == "confirmed"
    for power in (0.5, 1, 2, 10):
        assert linear(k ** -float(power)) == "violated"
    assert linear(np.ones(300)) == linear(1.01**k) == "violated"
    assert linear(0.9 ** k[:19]) == linear(np.zeros(300)) == "inconclusive"


@pytest.mark.parametrize(
    ("part", "word", "printed", "corrected"),
    [
        (None, None, "confirmed", "confirmed"),
        ("section2.linear", "violated", "violated", "confirmed"),
        ("section2.hits_zero", "violated", "confirmed", "violated"),
        ("section2.exponents", np.array([-0.5, -0.4]), "confirmed", "violated"),
    ],
)
def test_every_part_of_example_2_counts(part, word, printed, corrected, file, entry, ledger, monkeypatch):
    """(5) that is not linear; a start at sqrt(eta) that does not end at 0; another rate than 1/sqrt(k)."""
    if part:
        found = ledger.claim.Verdict(word) if isinstance(word, str) else word
        monkeypatch.setattr(f"mpisign.audit.claims.{part}", lambda *_: found)
    found = entry("example_2", {"example2": file("example2")})
    assert (found.verdict, found.corrected_verdict) == (printed, corrected)


def test_a_start_at_the_root_of_eta_ends_at_zero(file, ledger):
    from mpisign.audit.claims.section2 import hits_zero

    known = file("example2")
    assert hits_zero(known) == "confirmed"
    (run,) = [run for run in known if run.attributes["method"] == "sign-adagrad-norm" and "0.25" in run.label]
    run.repeats[1].columns["x"][-1] = 1e-9
    assert hits_zero(known) == "violated"
    del run.repeats[1]
    assert hits_zero(known) == "inconclusive"


def test_figure_1_needs_methods_that_are_linear(file, entry, ledger, monkeypatch):
    known = entry("figure_1", {"figure1": file("figure1")})
    assert (known.verdict, known.corrected_verdict) == ("vacuous", "confirmed")
    monkeypatch.setattr("mpisign.audit.claims.section5.linear", lambda gap: ledger.claim.Verdict("violated"))
    assert entry("figure_1", {"figure1": file("figure1")}).verdict == "violated"


def test_the_words_of_the_theory_are_the_ledger_s_too(ledger):
    assert set(ledger.claim.Verdict) == {*get_args(Word), "not run", "proved", "refuted"}
    assert set(ledger.claim.MEANINGS) == set(ledger.claim.Verdict)


def test_a_run_that_was_cut_short_gives_no_more_than_a_counterexample(ledger, tmp_path):
    """What was run is said beside what the job says; a violation of what one case refutes stands."""
    text = (ROOT / "jobs" / "theorem1.toml").read_text()
    short = Trajectory(run_alone(tmp_path, text, "iterations=30", "repeats=3"))
    found = ledger.judged(ledger.theorem_1_1, {"theorem1": [short]})
    assert found.verdict == "inconclusive"
    repeats, iterations = (re.search(rf"^{key} = (\d+)", text, re.M)[1] for key in ("repeats", "iterations"))
    assert (
        found.evidence[0] == f"{short.path.name} was cut short: 3 of {repeats} repeats, 30 of {iterations} iterations"
    )
    for verdict, refutable, expected in (
        ("violated", True, "violated"),
        ("violated", False, "inconclusive"),
        ("confirmed", True, "inconclusive"),
        ("vacuous", False, "vacuous"),
    ):
        word = ledger.Verdict(verdict)
        claim = found._replace(verdict=word, corrected_verdict=word, refutable=refutable)
        weaker = ledger.weighed(claim, [short])
        assert (weaker.verdict, weaker.corrected_verdict) == (expected, expected)


def test_two_repeats_have_no_interval(ledger):
    from mpisign.audit import intervals

    assert str(intervals.mean(np.array([1.0, 2.0]))) == "1.5 [no interval: fewer than 3 repeats]"
    assert intervals.geometric_mean(np.array([1.0, 4.0])).high == np.inf
    assert intervals.mean(np.array([1.0, 2.0, 3.0])).high < np.inf
