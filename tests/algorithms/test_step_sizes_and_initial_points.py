"""Learning rates, first points, and the random numbers behind them."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from alone import run_alone
from mpisign.algorithms.initial_points import STARTS
from mpisign.algorithms.step_sizes import STEPS
from mpisign.config.validation import InputError
from mpisign.rng import RandomStreams, Stream
from mpisign.storage.trajectory import Trajectory

# kind -> (its keys, n, k -> alpha_k)
STEP_EXAMPLES = {
    "constant": [
        ({"alpha": 0.25}, None, lambda k: Fraction(1, 4)),
        ({"alpha": 2}, 569, lambda k: Fraction(2)),
    ],
    "harmonic": [
        ({"c": "6n"}, 569, lambda k: Fraction(6 * 569, k + 1)),
        ({"c": "0.5n"}, 7, lambda k: Fraction(7, 2) / (k + 1)),
        ({"c": ".5n"}, 7, lambda k: Fraction(7, 2) / (k + 1)),
        ({"c": "n"}, 7, lambda k: Fraction(7, k + 1)),
        ({"c": "1e3n"}, 7, lambda k: Fraction(7000, k + 1)),
        ({"c": 3}, None, lambda k: Fraction(3, k + 1)),
        ({"c": 0.75}, 7, lambda k: Fraction(3, 4) / (k + 1)),
        ({"c": "6n", "k0": 24}, 10, lambda k: Fraction(60, k + 24)),
        ({"c": 3.0, "k0": 0.5}, None, lambda k: Fraction(3) / (k + Fraction(1, 2))),
    ],
}
STEP_CASES = [(name, *example) for name in STEP_EXAMPLES for example in STEP_EXAMPLES[name]]

# kind -> (its keys, d)
START_EXAMPLES = {
    "normal": [({}, 1), ({"size": 3.0}, 65), ({"size": 0.0}, 3)],
    "point": [({"x": [1.0, -2.5]}, 2), ({"x": [0]}, 1), ({"x": [[1, 2.5], [3.0, 4]]}, 2)],
    "zeros": [({}, 1), ({}, 65)],
}
START_CASES = [(name, *example) for name in START_EXAMPLES for example in START_EXAMPLES[name]]


def step(name, table, samples):
    return STEPS.make({"kind": name, **table}, "step").plan(samples)


def start(name, table, dimension, streams):
    return STARTS.make({"kind": name, **table}, "start").point(dimension, streams)


def test_every_step_and_every_start_has_an_example():
    assert set(STEP_EXAMPLES) == set(STEPS)
    assert set(START_EXAMPLES) == set(STARTS)


@pytest.mark.parametrize(
    ("name", "table", "samples", "formula"), STEP_CASES, ids=[f"{case[0]} {case[1]}" for case in STEP_CASES]
)
@pytest.mark.parametrize("k", [0, 1, 2, 99, 10**6])
def test_alpha(name, table, samples, formula, k):
    assert step(name, table, samples)(k) == pytest.approx(float(formula(k)), rel=1e-15)


BAD_CONSTANT = [0.0, -1.0, float("nan"), float("inf"), "1", True, None]
BAD_C = [0, -1, -0.5, float("nan"), float("inf"), True, None, "", "6", "0n", "-6n", "+6n", "6 n", "6m", "6nn", "6N"]


@pytest.mark.parametrize("alpha", BAD_CONSTANT, ids=repr)
def test_a_bad_alpha_is_refused(alpha):
    with pytest.raises(InputError) as refused:
        STEPS.make({"kind": "constant", "alpha": alpha}, "step")
    assert refused.value.key == "step.alpha"


@pytest.mark.parametrize("c", BAD_C, ids=repr)
def test_a_bad_c_is_refused(c):
    with pytest.raises(InputError, match=r"\bc\b"):
        STEPS.make({"kind": "harmonic", "c": c}, "step")


@pytest.mark.parametrize("k0", [0, -1.0, float("nan"), "1"], ids=repr)
def test_a_bad_k0_is_refused(k0):
    with pytest.raises(InputError) as refused:
        STEPS.make({"kind": "harmonic", "c": 1.0, "k0": k0}, "step")
    assert refused.value.key == "step.k0"


def test_a_multiple_of_n_needs_data():
    with pytest.raises(InputError, match="data") as refused:
        step("harmonic", {"c": "6n"}, None)
    assert refused.value.key == "c"


@pytest.mark.parametrize(("name", "table", "dimension"), START_CASES, ids=str)
def test_a_start_is_a_finite_vector(name, table, dimension):
    x = start(name, table, dimension, RandomStreams(1, 0))
    assert x.shape == (dimension,)
    assert x.dtype == np.float64
    assert x.flags.c_contiguous
    assert np.isfinite(x).all()


@pytest.mark.parametrize(("name", "table", "dimension"), START_CASES, ids=str)
def test_every_run_of_a_repeat_starts_at_the_same_point(name, table, dimension):
    """By other instances, after other numbers were drawn, and after an earlier run moved its x in place."""
    rule, streams = STARTS.make({"kind": name, **table}, "start"), RandomStreams(5, 2)
    first = rule.point(dimension, streams)
    expected = first.copy()
    first += 1.0
    streams.generator(Stream.ORACLE, 3, 17).standard_normal(5)
    assert (rule.point(dimension, streams) == expected).all()
    assert (start(name, table, dimension, RandomStreams(5, 2)) == expected).all()


def test_a_normal_start_is_another_in_each_repeat_and_for_each_seed():
    places = [(seed, repeat) for seed in range(3) for repeat in range(5)]
    assert len({start("normal", {}, 4, RandomStreams(*place)).tobytes() for place in places}) == len(places)


def test_a_normal_start_draws_from_its_own_stream():
    expected = np.random.Generator(np.random.Philox(key=[7, 0], counter=[0, 0, 0, 4])).standard_normal(5)
    assert (start("normal", {"size": 3.0}, 5, RandomStreams(7, 4)) == 3.0 * expected).all()
    assert Stream.START == 0


def test_a_normal_start_is_normal():
    """By a Kolmogorov-Smirnov test with a false-alarm rate of 1e-6 over the choice of the seed, which is fixed."""
    assert stats.kstest(start("normal", {"size": 3.0}, 20_000, RandomStreams(8, 0)) / 3.0, "norm").pvalue > 1e-6


def test_a_point_is_itself_in_each_repeat_and_zeros_are_zero():
    for repeat in range(3):
        assert (start("point", {"x": [1.0, -2.5]}, 2, RandomStreams(repeat, repeat)) == [1.0, -2.5]).all()
        assert not start("zeros", {}, 5, RandomStreams(repeat, repeat)).any()
        assert not start("normal", {"size": 0.0}, 5, RandomStreams(repeat, repeat)).any()


def test_of_a_list_of_points_each_repeat_takes_the_next():
    points = [[3.0, 0.0], [-1, 4.5], [0.25, -2.0]]
    taken = [start("point", {"x": points}, 2, RandomStreams(9, repeat)).tolist() for repeat in range(7)]
    assert taken == [points[repeat % 3] for repeat in range(7)]
    assert start("point", {"x": [[2.0]]}, 1, RandomStreams(9, 5)).tolist() == [2.0]


def test_a_job_starts_its_repeats_at_its_points(tmp_path):
    job = """
        repeats = 5
        iterations = 2
        problem = { kind = "toy" }
        start = { kind = "point", x = [[3.0], [-1.7]] }
        log = { every = 1, iterates = true }
        runs = [{ method = "gd", step = { kind = "constant", alpha = 0.05 } }]
        """
    (run,) = Trajectory(run_alone(tmp_path, job), iterates=True)
    assert [repeat.columns["x"][0, 0] for repeat in run.repeats] == [3.0, -1.7, 3.0, -1.7, 3.0]
    assert run.attributes["start.x"].tolist() == [[3.0], [-1.7]]


@pytest.mark.parametrize(("points", "key"), [([[1.0, 2.0], [1.0]], "x.1"), ([[]], "x.0"), ([[1.0], [2.0, 3.0]], "x.0")])
def test_every_point_of_a_list_is_checked_when_the_job_is_planned(points, key):
    with pytest.raises(InputError, match="expected 2 numbers") as refused:
        start("point", {"x": points}, 2, RandomStreams(1, 0))
    assert refused.value.key == key


@pytest.mark.parametrize("x", [[], [1.0], [1.0, 2.0, 3.0]], ids=str)
def test_a_point_of_the_wrong_length_is_refused(x):
    with pytest.raises(InputError, match="expected 2 numbers") as refused:
        start("point", {"x": x}, 2, RandomStreams(1, 0))
    assert refused.value.key == "x"


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ({"kind": "normal", "size": -1.0}, "size"),
        ({"kind": "normal", "size": float("inf")}, "size"),
        ({"kind": "point"}, "x"),
        ({"kind": "point", "x": 1.0}, "x"),
        ({"kind": "point", "x": [1.0, float("nan")]}, "x.1"),
        ({"kind": "point", "x": [1.0, [2.0]]}, "x.1"),
        ({"kind": "point", "x": [[1.0], 2.0]}, "x.1"),
        ({"kind": "point", "x": [[1.0], [float("inf")]]}, "x.1.0"),
        ({"kind": "point", "x": [[1.0], ["2"]]}, "x.1.0"),
        ({"kind": "zeros", "x": [1.0]}, "x"),
    ],
    ids=str,
)
def test_a_bad_start_is_refused_by_its_key(table, key):
    with pytest.raises(InputError) as refused:
        STARTS.make(table, "start")
    assert refused.value.key == f"start.{key}"


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**63 - 1),
    repeat=st.integers(0, 2**31),
    purpose=st.sampled_from(Stream),
    worker=st.integers(0, 2**31),
    k=st.integers(0, 2**53),
)
def test_draws_are_philox_at_its_key_and_counter(seed, repeat, purpose, worker, k):
    streams = RandomStreams(seed, repeat)
    streams.generator(Stream.TIE, 1, 1).integers(0, 10, 3, dtype=np.uint32)  # leaves half a word behind, and a buffer
    found = streams.generator(purpose, worker, k)
    key, counter = ([seed, int(purpose)], [0, k, worker, repeat])
    expected = np.random.Generator(np.random.Philox(key=key, counter=counter))
    for draw in (
        lambda generator: generator.integers(0, 10, 3, dtype=np.uint32),
        lambda generator: generator.random(7),
        lambda generator: generator.standard_normal(4),
    ):
        assert (draw(found) == draw(expected)).all()


def test_streams_differ_by_seed_repeat_purpose_worker_and_k():
    """The places share no word among their first 8: by chance, two of 2^64 words agree here once in 10^12."""
    words = [
        RandomStreams(seed, repeat).generator(purpose, worker, k).bit_generator.random_raw(8)
        for seed in (0, 1)
        for repeat in (0, 1)
        for purpose in Stream
        for worker in range(4)
        for k in range(4)
    ]
    assert len(np.unique(words)) == np.size(words)
