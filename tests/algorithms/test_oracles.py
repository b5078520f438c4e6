"""Every oracle: unbiased, of the law that it states, and a pure function of (seed, repeat, worker, k)."""

from collections import Counter
from itertools import combinations, product
from typing import get_args, get_type_hints

import numpy as np
import pytest
from scipy import stats

from distributions import CE_A, data_of
from mpisign.algorithms.oracles import ORACLES
from mpisign.config.validation import InputError
from mpisign.data.linear_rows import signed
from mpisign.problems import PROBLEMS, Minimum, Problem
from mpisign.problems.logistic import Logistic
from mpisign.rng import RandomStreams, Stream
from objectives import gradient

MODES = {
    "full": [{}, {"flipped": 2}],
    "minibatch": [
        {"batch": 5},
        {"batch": 5, "sampling": "iid"},
        {"batch": 5, "sampling": "shard"},
        {"batch": 5, "decoupled": True, "flipped": 1},
    ],
    "additive": [
        {"size": 0.7},
        {"size": 0.7, "noise": "normal"},
        {"size": 0.7, "noise": "uniform"},
        {"size": 0.7, "noise": "three-point", "q": 0.3},
    ],
    "paired": [{"e": 0.02, "h": 0.5}, {"e": "1/40", "h": 1e-6, "limit": 50.0}],
    "sideways": [{"e": 0.3, "h": 0.5, "b": 3.0}, {"e": "1/3", "h": 1e-6, "b": 3, "limit": 2}],
}
FINITE = ("paired", "sideways")
"""Oracles with so few values that different numbers often give the same one."""
CASES = [(name, mode) for name in MODES for mode in MODES[name]]
NOISES = [mode for mode in MODES["additive"] if "noise" in mode]
FALSE_ALARM = 1e-6  # of each statistical test, over the choice of its seed; the seeds are fixed
SIGMAS = stats.norm.isf(FALSE_ALARM / 2)
WORKERS = 3
EVERYWHERE = [
    (seed, repeat, worker, k)
    for seed, repeat, worker, k in product((1, 2), (0, 1), range(WORKERS), (0, 1, 2, 10**6, 2**40))
]


def planned(name, mode, problem, workers=WORKERS):
    return ORACLES.make({"kind": name, **mode}, "oracle").plan(problem, workers)


def asked(source, x, streams, worker, k):
    out = np.full(len(x), np.nan)
    source(x, worker, streams.generator(Stream.ORACLE, worker, k), out)
    return out


def logistic(n=300, d=40):
    rng = np.random.default_rng(0)
    return Logistic(signed(rng.standard_normal((n, d)), np.resize([-1.0, 1.0], n)))


def over(problem, x, samples):
    out = np.full(problem.dimension, np.nan)
    problem.minibatch(x, np.array(samples), out)
    return out


class Census(Problem):
    """Its minibatch gradient says how often each data point is among the samples."""

    def __init__(self, samples):
        self.samples = self.dimension = samples

    def value(self, x):
        return 0.0

    def gradient(self, x, out):
        out[:] = 1 / self.samples

    def minibatch(self, x, samples, out):
        out[:] = np.bincount(samples, minlength=self.samples)

    def minimum(self):
        return Minimum(0.0, 0.0)


def drawn(mode, samples, workers, worker, count):
    """How often each data point is in the batches that `worker` draws for k = 0, ..., count - 1."""
    source = planned("minibatch", mode, Census(samples), workers)
    streams = RandomStreams(seed=20, repeat=0)
    return np.array([asked(source, np.zeros(samples), streams, worker, k) for k in range(count)])


def assert_uniform(outcomes, cells):
    """By a chi-squared test, with more than 100 outcomes expected in each cell."""
    found = Counter(outcomes)
    assert set(found) <= set(cells)
    assert len(outcomes) > 100 * len(cells)
    assert stats.chisquare([found[cell] for cell in cells]).pvalue > FALSE_ALARM


def test_every_oracle_and_every_mode_has_an_example():
    assert set(MODES) == set(ORACLES)
    for name, key in (("minibatch", "sampling"), ("additive", "noise")):
        choices = get_args(get_type_hints(ORACLES[name])[key])
        assert choices
        assert {mode[key] for mode in MODES[name] if key in mode} == set(choices)


@pytest.mark.parametrize(("name", "mode"), CASES, ids=str)
def test_the_same_bits_in_any_order(name, mode):
    x = np.linspace(-1, 1, 40)
    forwards = planned(name, mode, logistic())
    found = {place: asked(forwards, x, RandomStreams(*place[:2]), *place[2:]) for place in EVERYWHERE}
    backwards = planned(name, mode, logistic())
    repeats = {place[:2]: RandomStreams(*place[:2]) for place in EVERYWHERE}
    for place in reversed(EVERYWHERE):
        assert (asked(backwards, x, repeats[place[:2]], *place[2:]) == found[place]).all()


@pytest.mark.parametrize(("name", "mode"), [case for case in CASES if case[0] not in ("full", *FINITE)], ids=str)
def test_other_numbers_at_every_seed_repeat_worker_and_k(name, mode):
    source = planned(name, mode, logistic())
    found = {asked(source, np.zeros(40), RandomStreams(*place[:2]), *place[2:]).tobytes() for place in EVERYWHERE}
    assert len(found) == len(EVERYWHERE)


@pytest.mark.parametrize("mode", [{"sampling": "iid", "batch": 5}, *NOISES], ids=str)
def test_a_worker_s_numbers_do_not_depend_on_how_many_workers_there_are(mode):
    name = "minibatch" if "batch" in mode else "additive"
    x, streams = np.linspace(-1, 1, 40), RandomStreams(seed=3, repeat=0)
    few, many = (planned(name, mode, logistic(), workers) for workers in (2, 50))
    assert (asked(few, x, streams, 1, 7) == asked(many, x, streams, 1, 7)).all()


@pytest.mark.parametrize("make", [logistic, lambda: PROBLEMS["separable"](eigenvalues=[1.0, 2.0])])
def test_full_is_the_gradient_on_every_worker(make):
    problem = make()
    x = np.linspace(-1, 1, problem.dimension)
    source = planned("full", {}, problem)
    for worker in range(WORKERS):
        assert (asked(source, x, RandomStreams(1, 0), worker, worker) == gradient(problem, x)).all()


@pytest.mark.parametrize("mode", [{"batch": 1, "sampling": "iid"}, {"batch": 4, "sampling": "shard"}], ids=str)
def test_minibatch_is_the_problem_s_own_on_the_points_drawn(mode):
    problem = logistic(n=12)
    x = np.linspace(-1, 1, 40)
    source = planned("minibatch", mode, problem)
    for k, counts in enumerate(drawn(mode, 12, WORKERS, 1, 20)):
        samples = np.flatnonzero(counts)
        found = asked(source, x, RandomStreams(seed=20, repeat=0), 1, k)
        assert found == pytest.approx(over(problem, x, samples), rel=1e-12, abs=1e-14)


def test_iid_is_unbiased():
    """Each point is as likely as the others, and the mean over all of them is the gradient."""
    counts = drawn({"batch": 1}, samples=10, workers=WORKERS, worker=2, count=4000)
    assert (counts.sum(axis=1) == 1).all()
    assert_uniform(counts.argmax(axis=1).tolist(), range(10))
    problem = logistic(n=10)
    x = np.linspace(-1, 1, 40)
    mean = np.mean([over(problem, x, [sample]) for sample in range(10)], axis=0)
    assert mean == pytest.approx(gradient(problem, x), rel=1e-12, abs=1e-14)


def test_iid_draws_with_replacement_and_independently():
    """Of 4 x 4 ordered pairs, 4 repeat a point; each other unordered pair counts twice."""
    counts = drawn({"batch": 2}, samples=4, workers=1, worker=0, count=6000)
    assert (counts.sum(axis=1) == 2).all()
    pairs = Counter(tuple(np.repeat(np.arange(4), row.astype(int))) for row in counts)
    cells = [(i, j) for i in range(4) for j in range(i, 4)]
    expected = [6000 / 16 * (1 if i == j else 2) for i, j in cells]
    assert stats.chisquare([pairs[cell] for cell in cells], expected).pvalue > FALSE_ALARM


def test_iid_takes_a_batch_larger_than_the_data():
    assert drawn({"batch": 50}, samples=4, workers=3, worker=0, count=1).sum() == 50


@pytest.mark.parametrize(("samples", "workers"), [(11, 3), (12, 4), (5, 1), (7, 7)])
def test_the_shards_cover_every_point_once(samples, workers):
    batch = samples // workers
    seen = [
        drawn({"batch": batch, "sampling": "shard"}, samples, workers, worker, 50).any(axis=0)
        for worker in range(workers)
    ]
    # A point of a shard of 4 is missed by 50 batches of 3 with probability 4^-50.
    assert (np.sum(seen, axis=0) == 1).all()


@pytest.mark.parametrize(("worker", "batch"), [(0, 1), (0, 2), (1, 3), (2, 1), (2, 2)])
def test_a_worker_draws_every_set_of_its_own_points_equally_often(worker, batch):
    counts = drawn({"batch": batch, "sampling": "shard"}, 11, 3, worker, 1000)
    assert set(np.unique(counts)) <= {0, 1}
    batches = [tuple(np.flatnonzero(row).tolist()) for row in counts]
    assert_uniform(batches, list(combinations(range(worker, 11, 3), batch)))


def test_each_shard_is_unbiased_for_its_own_part_and_equal_shards_for_the_whole():
    problem = logistic(n=12)
    x = np.linspace(-1, 1, 40)
    parts = []
    for worker in range(3):
        own = range(worker, 12, 3)
        parts.append(np.mean([over(problem, x, samples) for samples in combinations(own, 2)], axis=0))
        assert parts[-1] == pytest.approx(over(problem, x, own), rel=1e-12, abs=1e-14)
    assert np.mean(parts, axis=0) == pytest.approx(gradient(problem, x), rel=1e-12, abs=1e-14)


D = 20_000


def noise(mode, worker=0, k=0, x=None, seed=5):
    """The stochastic gradient less the gradient, on a problem with D coordinates."""
    problem = PROBLEMS["separable"](eigenvalues=[1.0] * D)
    x = np.zeros(D) if x is None else x
    return asked(planned("additive", mode, problem), x, RandomStreams(seed, 0), worker, k) - gradient(problem, x)


LAWS = {
    "normal": lambda size, q: stats.norm(scale=size),
    "uniform": lambda size, q: stats.uniform(-size, 2 * size),
    "three-point": lambda size, q: stats.rv_discrete(values=([-1, 0, 1], [q, 1 - 2 * q, q])),
}


@pytest.mark.parametrize("mode", NOISES, ids=str)
@pytest.mark.parametrize("size", [0.7, 3.0])
def test_mean_and_variance_of_the_noise(mode, size):
    """Each within SIGMAS standard errors, which the law's own moments give."""
    found = noise({**mode, "size": size}, seed=6)
    law = LAWS[mode["noise"]](size, mode.get("q"))
    unit = size if mode["noise"] == "three-point" else 1.0
    variance, fourth = law.var() * unit**2, law.moment(4) * unit**4
    assert abs(found.mean()) < SIGMAS * np.sqrt(variance / D)
    assert abs((found**2).mean() - variance) < SIGMAS * np.sqrt((fourth - variance**2) / D)


@pytest.mark.parametrize("name", ["normal", "uniform"])
def test_the_law_of_continuous_noise(name):
    """By a Kolmogorov-Smirnov test."""
    found = noise({"size": 0.7, "noise": name})
    assert stats.kstest(found, LAWS[name](0.7, None).cdf).pvalue > FALSE_ALARM
    assert name == "normal" or np.abs(found).max() <= 0.7


@pytest.mark.parametrize("q", [0.001, 0.2, 0.45, 0.5])
def test_the_law_of_three_point_noise(q):
    """By exact binomial tests of the two signs, each at half the rate."""
    found = noise({"size": 0.7, "noise": "three-point", "q": q})
    assert set(np.unique(found)) <= {-0.7, 0.0, 0.7}
    for value in (-0.7, 0.7):
        assert stats.binomtest(int((found == value).sum()), D, q).pvalue > FALSE_ALARM / 2
    assert q < 0.5 or found.all()


@pytest.mark.parametrize("mode", NOISES, ids=str)
def test_noise_is_uncorrelated_across_coordinates_workers_and_iterations(mode):
    """The mean of the products of two independent samples, within SIGMAS of its standard error at 1/3 of the rate."""
    here, worker, later = (noise(mode, *place) for place in ((0, 0), (1, 0), (0, 1)))
    scale = stats.norm.isf(FALSE_ALARM / 6) * (here**2).mean() / np.sqrt(D)
    assert abs((here[1:] * here[:-1]).mean()) < scale
    assert abs((here * worker).mean()) < scale
    assert abs((here * later).mean()) < scale


@pytest.mark.parametrize("mode", NOISES, ids=str)
def test_noise_is_the_same_at_every_point(mode):
    x = np.random.default_rng(0).standard_normal(D)
    assert noise(mode, x=x) == pytest.approx(noise(mode), abs=1e-14)


REFUSED = [
    ({"kind": "full", "batch": 1}, "batch"),
    ({"kind": "minibatch"}, "batch"),
    ({"kind": "minibatch", "batch": 0}, "batch"),
    ({"kind": "minibatch", "batch": 1.5}, "batch"),
    ({"kind": "minibatch", "batch": 1, "sampling": "epoch"}, "sampling"),
    ({"kind": "additive"}, "size"),
    ({"kind": "additive", "size": 0.0}, "size"),
    ({"kind": "additive", "size": float("inf")}, "size"),
    ({"kind": "additive", "size": 1.0, "noise": "cauchy"}, "noise"),
    ({"kind": "additive", "size": 1.0, "noise": "three-point", "q": 0.0}, "q"),
    ({"kind": "additive", "size": 1.0, "noise": "three-point", "q": 0.6}, "q"),
]


@pytest.mark.parametrize(("table", "key"), REFUSED, ids=str)
def test_what_cannot_be_is_refused_by_its_key(table, key):
    with pytest.raises(InputError) as refused:
        ORACLES.make(table, "oracle")
    assert refused.value.key == f"oracle.{key}"


def test_flipped_workers_send_minus_their_gradient():
    x, streams = np.linspace(-1, 1, 40), RandomStreams(seed=3, repeat=0)
    honest, some = (planned("minibatch", {"batch": 5, "flipped": count}, logistic()) for count in (0, 2))
    for worker, sign in enumerate((-1, -1, 1)):
        assert (asked(some, x, streams, worker, 4) == sign * asked(honest, x, streams, worker, 4)).all()


def test_more_flipped_workers_than_there_are_is_refused():
    with pytest.raises(InputError, match="at most 3") as refused:
        planned("full", {"flipped": 4}, logistic())
    assert refused.value.key == "flipped"


def test_data_points_are_drawn_by_their_weights():
    """By a chi-squared test, on single draws; each gradient is Hx plus one atom."""
    problem = PROBLEMS["finite-quadratic"](**data_of(CE_A))
    source = planned("minibatch", {"batch": 1}, problem)
    x, streams = np.array([0.1, 0.01]), RandomStreams(seed=4, repeat=0)
    noises = np.array([asked(source, x, streams, 0, k) - x for k in range(4000)])
    which = np.abs(noises[:, None] - CE_A.atoms).sum(axis=2)
    assert (which.min(axis=1) < 1e-15).all()
    counts = np.bincount(which.argmin(axis=1), minlength=4)
    assert stats.chisquare(counts, 4000 * CE_A.weights).pvalue > FALSE_ALARM


def test_shards_of_weighted_data_points_are_refused():
    with pytest.raises(InputError, match="iid") as refused:
        planned("minibatch", {"batch": 1, "sampling": "shard"}, PROBLEMS["finite-quadratic"](**data_of(CE_A)))
    assert refused.value.key == "sampling"


def test_decoupled_takes_its_norm_from_a_second_independent_draw():
    """Signs of the first draw bit for bit; each pair (sign of g~_1, norm) as often as independence says."""
    problem = PROBLEMS["finite-quadratic"](**data_of(CE_A))
    x, streams = np.array([0.1, 0.01]), RandomStreams(seed=5, repeat=0)
    plain, decoupled = (planned("minibatch", {"batch": 1, "decoupled": on}, problem) for on in (False, True))
    first = np.array([asked(plain, x, streams, 0, k) for k in range(4000)])
    found = np.array([asked(decoupled, x, streams, 0, k) for k in range(4000)])
    assert (np.sign(found) == np.sign(first)).all()
    norms = np.abs(x + CE_A.atoms).sum(axis=1)
    distances = np.abs(np.abs(found).sum(axis=1)[:, None] - norms)
    assert distances.min(axis=1).max() < 1e-15
    table = np.zeros((2, 4))
    np.add.at(table, ((found[:, 0] > 0).astype(int), distances.argmin(axis=1)), 1)
    expected = 4000 * np.outer([0.2, 0.8], CE_A.weights)
    assert stats.chisquare(table.ravel(), expected.ravel()).pvalue > FALSE_ALARM


def test_a_draw_of_zeros_stays_when_it_is_decoupled():
    problem = PROBLEMS["separable"](eigenvalues=[1.0, 1.0])
    source = planned("additive", {"size": 1.0, "noise": "three-point", "q": 1e-9, "decoupled": True}, problem)
    assert not asked(source, np.zeros(2), RandomStreams(1, 0), 0, 0).any()


@pytest.mark.parametrize(("samples", "workers", "largest"), [(11, 3, 3), (12, 3, 4), (5, 1, 5)])
def test_a_batch_too_large_for_a_shard_is_refused(samples, workers, largest):
    def plan(batch):
        return planned("minibatch", {"batch": batch, "sampling": "shard"}, Census(samples), workers)

    plan(largest)
    with pytest.raises(InputError) as refused:
        plan(largest + 1)
    assert refused.value.key == "batch"


@pytest.mark.parametrize("mode", MODES["minibatch"], ids=str)
def test_minibatch_on_a_problem_without_data_is_refused(mode):
    with pytest.raises(InputError, match="data points") as refused:
        planned("minibatch", mode, PROBLEMS["toy"]())
    assert refused.value.key == "kind"


def test_a_problem_without_data_has_no_minibatch():
    with pytest.raises(InputError, match="data points"):
        over(PROBLEMS["toy"](), np.zeros(1), [0])


@pytest.mark.parametrize(
    ("name", "mode", "eigenvalues"),
    [
        ("paired", {"e": 0.15, "h": 0.5}, [1.0, 2.0]),
        ("paired", {"e": 0.2, "h": 0.1, "limit": 9.0}, [1.0, 2.0, 3.0]),
        ("sideways", {"e": 0.3, "h": 0.5, "b": 3.0, "limit": 2.0}, [1.0, 2.0, 1.0]),
    ],
)
def test_a_finite_oracle_has_the_law_that_the_certificates_compute_with(name, mode, eigenvalues):
    """Every value with its probability; and the constants that it states are those of this law."""
    problem = PROBLEMS["separable"](eigenvalues=eigenvalues)
    x = np.array([0.7, -0.4, 0.3])[: len(eigenvalues)]
    oracle, g = ORACLES.make({"kind": name, **mode}, "oracle"), tuple(eigenvalues * x)
    law = oracle.outcomes(g)
    source, streams = oracle.plan(problem, 1), RandomStreams(seed=5, repeat=0)
    found = Counter(tuple(asked(source, x, streams, 0, k)) for k in range(4000))
    expected = {value: weight * 4000 for weight, value in law}
    assert set(found) == set(expected)
    assert stats.chisquare([found[value] for value in expected], list(expected.values())).pvalue > FALSE_ALARM
    assert sum(np.multiply(weight, value) for weight, value in law) == pytest.approx(g)
    known = oracle.assumption4(problem)
    right = [sum(w for w, value in law if np.sign(value[i]) == np.sign(g[i])) for i in range(len(g))]
    assert min(right) == pytest.approx(known.p_min.value)
    if known.sigma2:
        at_limit = np.array(g) * mode["limit"] / (np.abs(g).sum() if name == "paired" else abs(g[0]))
        spread = sum(
            w * np.abs(np.subtract(value, at_limit)).sum() ** 2 for w, value in oracle.outcomes(tuple(at_limit))
        )
        assert spread <= known.sigma2.value * (1 + 1e-12)
        assert known.sigma2.how == "upper" or spread == pytest.approx(known.sigma2.value)


def test_a_finite_oracle_is_exact_beyond_its_limit_and_where_it_has_no_sign():
    problem, x = PROBLEMS["separable"](eigenvalues=[1.0, 1.0]), np.array([2.0, 1.0])
    for name, mode in (("paired", {"e": 0.2, "h": 0.5}), ("sideways", {"e": 0.2, "h": 0.5, "b": 3.0})):
        for limit, noisy in ((1.9, False), (3.0, True)):
            source = planned(name, {**mode, "limit": limit}, problem)
            drawn = [asked(source, x, RandomStreams(seed=6, repeat=0), 0, k) for k in range(30)]
            assert any((value != x).any() for value in drawn) == noisy
    source, one = planned("paired", {"e": 0.2, "h": 0.5}, problem), np.array([2.0, 0.0])
    assert all((asked(source, one, RandomStreams(seed=7, repeat=0), 0, k) == one).all() for k in range(30))


@pytest.mark.parametrize(
    ("name", "mode", "eigenvalues", "complaint"),
    [
        ("paired", {"e": 0.4, "h": 0.5}, [1.0, 1.0, 1.0], "e: expected at most 1/d = 1/3, got 0.4"),
        (
            "sideways",
            {"e": 0.4, "h": 0.5, "b": 1.0},
            [1.0],
            'kind: expected a problem with 2 coordinates or more for "sideways"',
        ),
    ],
)
def test_a_finite_oracle_refuses_a_problem_that_it_does_not_fit(name, mode, eigenvalues, complaint):
    with pytest.raises(InputError) as error:
        planned(name, mode, PROBLEMS["separable"](eigenvalues=eigenvalues))
    assert str(error.value) == complaint
