"""How many workers buy how much, and flipped workers: theory against enumeration, short runs against theory.

A run's mean may miss theory by chance: each check has a false-alarm rate of 1 in 10000, with seeds fixed.
"""

import re
from itertools import product
from textwrap import dedent

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from alone import run_alone
from distributions import CE_B, drift_by_enumeration
from launch import ROOT
from mpisign.storage.trajectory import Trajectory
from mpisign.theory.noise import FiniteDistribution
from mpisign.theory.vote_moments import (
    flipped_advantage,
    mean_probability,
    moments,
    pivot_probability,
    three_point,
    vote_advantage,
    vote_drift,
)

FALSE_ALARM = 1e-4


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("x", [(0.01, 0.0002), (0.1, -0.05), (-0.3, 0.7)])
def test_c4_on_ce_b(x, workers):
    gradient = np.array(x)
    known = moments(gradient, CE_B)
    drift = vote_drift(gradient, known, workers)
    assert drift.exact == pytest.approx(drift_by_enumeration(gradient, CE_B, workers), rel=1e-12)
    assert drift.independent == pytest.approx(np.abs(gradient) @ vote_advantage(known.p, workers) * known.norm)


def test_up_to_three_workers_the_drift_of_ce_b_is_negative_near_zero():
    """docs/audit/counterexamples.md; were norms and signs independent, it would be positive."""
    gradient = np.array([0.01, 0.0002])
    signs = {}
    for workers in (1, 3, 5):
        drift = vote_drift(gradient, moments(gradient, CE_B), workers)
        assert drift.independent > 0
        signs[workers] = np.sign(drift.exact)
    assert signs == {1: -1.0, 3: -1.0, 5: 1.0}


entries = st.floats(-2, 2).filter(lambda value: abs(value) > 0.01)


@given(st.lists(entries, min_size=2, max_size=2), st.lists(st.tuples(entries, entries), min_size=1, max_size=3),
       st.integers(1, 4))  # fmt: skip
def test_c4_on_any_law(gradient, atoms, workers):
    gradient, atoms = np.array(gradient), np.array(atoms)
    law = FiniteDistribution(atoms, np.arange(1, len(atoms) + 1) / np.arange(1, len(atoms) + 1).sum())
    if not (gradient + atoms).all():
        return
    found = vote_drift(gradient, moments(gradient, law), workers).exact
    assert found == pytest.approx(drift_by_enumeration(gradient, law, workers), rel=1e-9, abs=1e-9)


def test_three_point_noise_as_a_law():
    gradient, q = np.array([1.0, -0.5, 0.25]), 0.35
    steps, chance = np.array([-3.0, 3.0, 0.0]), np.array([q, q, 1 - 2 * q])
    choices = list(product(range(3), repeat=3))
    law = FiniteDistribution(
        np.array([steps[list(c)] for c in choices]), np.array([chance[list(c)].prod() for c in choices])
    )
    closed, listed = three_point(gradient, size=3.0, q=q), moments(gradient, law)
    for one, other in zip(closed, listed, strict=True):
        assert one == pytest.approx(other, rel=1e-12)
    assert closed.p == pytest.approx(np.full(3, 1 - q))


def sums(probabilities):
    """Every sum of independent signs, right with these probabilities, and its chance."""
    for right in product((True, False), repeat=len(probabilities)):
        chance = np.prod([p if good else 1 - p for good, p in zip(right, probabilities, strict=True)])
        yield 2 * sum(right) - len(right), chance


@pytest.mark.parametrize("workers", range(1, 8))
@pytest.mark.parametrize("p", [0.5, 0.6, 0.93, 1.0])
def test_flipped_workers_by_enumeration(p, workers):
    for flipped in range(workers + 1):
        some = [p] * (workers - flipped) + [1 - p] * flipped
        expected = sum(np.sign(total) * chance for total, chance in sums(some))
        assert flipped_advantage(p, workers, flipped) == pytest.approx(expected, abs=1e-14)
        assert mean_probability(p, workers, flipped) == pytest.approx(np.mean(some))
    assert flipped_advantage(p, workers, 0) == pytest.approx(vote_advantage(p, workers), abs=1e-14)
    assert flipped_advantage(p, workers, workers) == pytest.approx(-vote_advantage(p, workers), abs=1e-14)


@pytest.mark.parametrize("workers", range(1, 8))
def test_influence_by_enumeration(workers):
    for p in (0.3, 0.6, 0.9):
        others = list(sums([p] * (workers - 1))) if workers > 1 else [(0, 1.0)]
        right, wrong = (sum(np.sign(total + own) * chance for total, chance in others) for own in (1, -1))
        assert pivot_probability(p, workers) == pytest.approx((right - wrong) / 2, abs=1e-14)


@pytest.mark.parametrize(
    ("call_", "complaint"),
    [
        (lambda: flipped_advantage(0.6, 3, 4), "0 <= flipped <= workers"),
        (lambda: mean_probability(0.6, 3, -1), "0 <= flipped <= workers"),
        (lambda: flipped_advantage(1.2, 3, 1), "0 <= p <= 1"),
        (lambda: pivot_probability(0.6, 0), "workers is a positive integer"),
        (lambda: three_point(np.array([1.0, 0.0]), size=2.0, q=0.4), "no g_i and no g~_i is 0"),
        (lambda: moments(np.array([0.2, 0.1]), CE_B), "no g_i and no g~_i is 0"),
    ],
)
def test_what_has_no_drift_is_refused(call_, complaint):
    with pytest.raises(ValueError, match=complaint):
        call_()


# Short runs


FROZEN = """
    repeats = {repeats}
    iterations = 250
    seed = 5
    problem = {problem}
    start = {{ kind = "point", x = {x} }}
    log = {{ every = 1, iterates = true }}
    """
RUN = """
    [[runs]]
    label = "{label}"
    method = "scaled-sign"
    workers = {workers}
    zeros = "{zeros}"
    oracle = {oracle}
    step = {{ kind = "constant", alpha = 1e-12 }}
    """
THREE_POINT = '{{ kind = "additive", noise = "three-point", size = 10.0, q = 0.4, flipped = {} }}'
ONES = [1.0] * 8


def separable(runs):
    """A job at x = +-1, ..., from (workers, zeros, flipped)."""
    problem = f'{{ kind = "separable", eigenvalues = {ONES} }}'
    head = FROZEN.format(repeats=2, problem=problem, x=[ONES, [-1.0] * 8])
    return dedent(head) + "".join(
        dedent(RUN.format(label=f"{zeros}, M = {m}, B = {b}", workers=m, zeros=zeros, oracle=THREE_POINT.format(b)))
        for m, zeros, b in runs
    )


def ce_b(runs):
    """A job at two points of CE-B, from (workers, decoupled)."""
    atoms, weights = CE_B.atoms.tolist(), CE_B.weights.tolist()
    problem = f'{{ kind = "finite-quadratic", eigenvalues = [1.0, 1.0], atoms = {atoms}, weights = {weights} }}'
    head = FROZEN.format(repeats=2, problem=problem, x=[[0.01, 0.0002], [0.1, 0.03]])
    oracle = '{{ kind = "minibatch", batch = 1, decoupled = {} }}'
    return dedent(head) + "".join(
        dedent(RUN.format(label=f"M = {m}{d}", workers=m, zeros="exact", oracle=oracle.format(str(bool(d)).lower())))
        for m, d in runs
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    jobs = {
        "workers": separable([(m, "exact", 0) for m in (1, 2, 3, 4, 9)]),
        "ties": separable([(m, zeros, 0) for zeros in ("exact", "coin", "plus") for m in (2, 4)]),
        "flipped": separable([(7, "exact", b) for b in (0, 2, 3)]),
        "ce-b-drift": ce_b([(1, ""), (2, ""), (3, ""), (3, ", decoupled")]),
        "moving": separable([(1, "exact", 0)]).replace("1e-12", "0.01"),
        "flipped-logistic": LOGISTIC,
    }
    folder = tmp_path_factory.mktemp("frozen")
    for name, text in jobs.items():
        run_alone(folder, text).rename(folder / f"{name}.h5")
    return folder


LOGISTIC = """
    repeats = 3
    iterations = 60
    problem = { kind = "logistic", data = "breast-cancer" }
    """ + "".join(
    f"""
    [[runs]]
    label = "{method}, {flipped}"
    method = "{method}"
    workers = 5
    oracle = {{ kind = "minibatch", batch = 32, flipped = {flipped} }}
    step = {{ kind = "constant", alpha = {alpha} }}
    """
    for method, alpha in (("scaled-sign", 0.06), ("gd", 2.0))
    for flipped in (0, 2)
)


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "analysis")
    from mpisign.audit import frozen_point, intervals
    from mpisign.audit.figures.beyond import flipped, workers

    return {"frozen": frozen_point, "interval": intervals, "workers": workers, "flipped": flipped}


def agrees(samples, expected):
    """Whether the mean of independent samples is as expected, but for a false alarm."""
    return scipy.stats.ttest_1samp(samples, expected).pvalue > FALSE_ALARM


@pytest.mark.parametrize("name", ["workers", "ties", "ce-b-drift", "flipped"])
def test_measured_votes_are_what_theory_says(name, files, scripts):
    """At most 18 checks a file, each by chance wrong 1 time in 10000."""
    points = scripts["frozen"].frozen(Trajectory(files / f"{name}.h5", iterates=True))
    assert len(points) >= 6
    for each in points:
        if name == "flipped":
            assert agrees(each.advantage, scripts["flipped"].exact(each))
            continue
        assert agrees(each.advantage, scripts["workers"].expected_advantage(each))
        if each.run.attributes["zeros"] != "plus":
            assert agrees(each.drift, each.theory.exact)


def test_where_theorem_3_s_proof_is_wrong_the_measurement_says_so(files, scripts):
    """CE-B at x = (0.01, 0.0002): the drift is not A_M(p) ||g||_1 E N; with decoupled norms it is."""
    points = scripts["frozen"].frozen(Trajectory(files / "ce-b-drift.h5", iterates=True))
    first = [each for each in points if each.gradient[0] == 0.01]
    assert [agrees(each.drift, each.theory.independent) for each in first] == [False, False, False, True]
    assert scripts["interval"].mean(first[0].drift).high < 0


def test_plus_harms_where_gradients_are_negative(files, scripts):
    """M = 2, p = 0.6 < 0.7071: the advantage is A_M - P_tie = 0.2 - 0.48."""
    points = scripts["frozen"].frozen(Trajectory(files / "ties.h5", iterates=True))
    (harmed,) = [e for e in points if e.run.label.startswith("plus, M = 2") and e.gradient[0] < 0]
    assert scripts["workers"].expected_advantage(harmed) == pytest.approx(0.2 - 0.48)
    assert scripts["interval"].mean(harmed.advantage).high < 0


def test_the_vote_read_from_x_is_the_file_s_agreement(files, scripts):
    """2 agreement - 1, and a tie is half a right vote where it stays a tie."""
    for each in scripts["frozen"].frozen(Trajectory(files / "ties.h5", iterates=True)):
        repeat = next(r for r in each.run.repeats if np.sign(r.columns["x"][0, 0]) == np.sign(each.gradient[0]))
        ties = repeat.columns["ties"][:-1] if each.run.attributes["zeros"] == "exact" else 0
        assert each.advantage == pytest.approx(2 * repeat.columns["agreement"][:-1] - 1 + ties / 8)


def test_repeats_that_are_run_apart_keep_their_numbers(tmp_path):
    from mpisign.comm.communicator import SerialCommunicator
    from mpisign.config import experiment
    from mpisign.engine import planning, runner

    job = experiment.parse(separable([(1, "exact", 0)]), ["iterations=3"])
    runner.run(planning.plan(job, SerialCommunicator()), SerialCommunicator(), tmp_path / "out.h5", range(1, 2))
    assert [repeat.number for repeat in Trajectory(tmp_path / "out.h5").runs[0].repeats] == [1]


# The scripts


def test_the_figure_of_workers(files, script, tmp_path):
    status, out, err = script(
        "workers", *(files / f"{name}.h5" for name in ("workers", "ties", "ce-b-drift")), "-o", tmp_path
    )
    assert (status, err) == (0, "")
    for suffix in ("png", "pdf"):
        assert (tmp_path / f"workers.{suffix}").stat().st_size > 10_000
    assert "exact, M = 9, B = 0, g_i > 0: advantage 0.4" in out
    assert "M = 3, decoupled, x = (0.1, 0.03): drift over ||g||_1 E N " in out
    assert out.count("theory is in the 95 % interval of ") == 3


def test_the_figure_of_flipped_workers(files, script, tmp_path):
    status, out, err = script("flipped", files / "flipped.h5", files / "flipped-logistic.h5", "-o", tmp_path)
    assert (status, err) == (0, "")
    assert (tmp_path / "flipped.png").stat().st_size > 10_000
    lines = re.findall("p = 0.6, B = 2 of 7: .*", out)
    assert len(lines) == 2  # a point each
    assert all(f", exact {flipped_advantage(0.6, 7, 2):.4f}, " in line for line in lines)
    assert "SGD, B = 2: final gap " in out
    assert out.count("; over that of B = 0: ") == 2


@pytest.mark.parametrize("law", ['noise = "three-point", size = 1.0, q = 0.4', "size = 10.0"])
def test_a_law_without_moments_is_refused_in_one_line(law, script, tmp_path):
    """g_i - size is 0 at x = +-1; noise that is left to its default is normal."""
    file = run_alone(tmp_path, separable([(1, "exact", 0)]).replace('noise = "three-point", size = 10.0, q = 0.4', law))
    status, out, err = script("workers", file, "-o", tmp_path / "figures")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "no g_i and no g~_i of 0, noise with a finite law" in err


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("workers", "moving"),
        ("workers", "flipped"),
        ("workers", "flipped-logistic"),
        ("flipped", "moving"),
        ("workers", "nowhere"),
    ],
)
def test_another_file_is_refused_in_one_line(name, file, files, script, tmp_path):
    status, out, err = script(name, files / f"{file}.h5", "-o", tmp_path)
    assert (status, out) == (2, "")
    assert err.startswith(f"{name}.py: ")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())
