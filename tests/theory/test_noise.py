"""What is said of Assumption 4 against plain enumeration, scipy's laws and simulation."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from distributions import CE_A, CE_B, data_of
from mpisign.algorithms.oracles import ORACLES
from mpisign.data.linear_rows import signed
from mpisign.problems import PROBLEMS
from mpisign.problems.logistic import Logistic
from mpisign.theory.noise import FiniteDistribution, known, mean_law, sign_probability

seeds = st.integers(0, 2**32 - 1)


def random_law(seed, atoms, d):
    """Small integers, so that zeros and ties occur, centred by a last atom."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(atoms + 1))
    values = rng.integers(-2, 3, (atoms, d)).astype(float)
    return FiniteDistribution(np.vstack([values, -(weights[:-1] @ values) / weights[-1]]), weights)


def test_the_audit_s_counterexamples():
    """docs/audit/counterexamples.md."""
    noise = known(CE_A)
    assert noise.sigma2 == (pytest.approx(0.424, rel=1e-14), "exact")
    assert noise.p_min == (pytest.approx(0.8, rel=1e-14), "exact")
    assert noise.p_min_literal == (pytest.approx(0.6, rel=1e-14), "exact")
    assert known(CE_B).sigma2.value == pytest.approx(0.592, rel=1e-14)
    assert known(CE_B).p_min.value == pytest.approx(0.6, rel=1e-14)


@given(seed=seeds, atoms=st.integers(1, 5), d=st.integers(1, 3))
def test_p_min_is_the_least_probability_of_a_right_sign(seed, atoms, d):
    """Over gradients from far to near 0, and at 0 for the literal one."""
    law = random_law(seed, atoms, d)
    noise = known(law)
    sizes = np.concatenate([-np.geomspace(1e-9, 10, 60), np.geomspace(1e-9, 10, 60)])
    right = [law.weights @ (np.sign(g + law.atoms) == np.sign(g)) for g in sizes]
    assert noise.p_min.value == pytest.approx(np.min(right), abs=1e-12)
    at_zero = min((law.weights @ (law.atoms == 0)).min(), np.min(right))
    assert noise.p_min_literal.value == pytest.approx(at_zero, abs=1e-12)


@given(seed=seeds, batch=st.integers(1, 4))
def test_the_law_of_a_mean_is_that_of_all_ordered_draws(seed, batch):
    law = random_law(seed, 3, 2)
    found = mean_law(law, batch)
    assert found.weights.sum() == pytest.approx(1, rel=1e-13)
    streams = [list(draw) for draw in product(range(4), repeat=batch)]
    for point in ([0.3, -0.1], [-1.0, 2.0]):  # by the characteristic function
        expected = sum(
            np.prod(law.weights[draw]) * np.exp(1j * (law.atoms[draw].mean(axis=0) @ point)) for draw in streams
        )
        assert found.weights @ np.exp(1j * (found.atoms @ point)) == pytest.approx(expected, abs=1e-13)
    norms = sum(np.prod(law.weights[draw]) * np.abs(law.atoms[draw].mean(axis=0)).sum() ** 2 for draw in streams)
    assert known(found).sigma2.value == pytest.approx(norms, rel=1e-12)


def test_a_law_too_long_to_write_down_has_limits():
    """(sum_i sd_i)^2 / n, which beats sigma^2 / n of Remark 5 in being true."""
    assert mean_law(CE_A, 1000) is None
    noise = PROBLEMS["finite-quadratic"](**data_of(CE_A)).noise(1000)
    deviations = np.sqrt(0.4 * 0.16) + np.sqrt(0.2)
    assert noise.sigma2 == (pytest.approx(deviations**2 / 1000, rel=1e-12), "upper")
    assert noise.p_min is None


@pytest.mark.parametrize("d", [1, 2, 7])
@pytest.mark.parametrize("noise", ["normal", "uniform", "three-point"])
def test_sigma_of_additive_noise(noise, d):
    """E (sum |n_i|)^2 by the moments of |n|, integrated or summed."""
    size, q = 0.7, 0.3
    density = {"normal": stats.norm(scale=size).pdf, "uniform": stats.uniform(-size, 2 * size).pdf}
    if noise == "three-point":
        first, second = 2 * q * size, 2 * q * size**2
    else:
        first, second = (
            2 * integrate.quad(lambda t, power=power: t**power * density[noise](t), 0, 12 * size, points=[size])[0]
            for power in (1, 2)
        )
    table = {"kind": "additive", "noise": noise, "size": size} | ({"q": q} if noise == "three-point" else {})
    found = ORACLES.make(table, "oracle").assumption4(PROBLEMS["separable"](eigenvalues=[1.0] * d))
    assert found.sigma2 == (pytest.approx(d * second + d * (d - 1) * first**2, rel=1e-8), "exact")
    assert found.independent
    assert found.p_min.value == pytest.approx(0.7 if noise == "three-point" else 0.5)
    assert found.p_min_literal.value == pytest.approx(0.4 if noise == "three-point" else 0.0, abs=1e-15)


@given(seed=seeds, batch=st.integers(1, 3))
def test_sigma_of_a_minibatch_of_logistic_regression_is_a_limit(seed, batch):
    """Against the exact variance over all ordered draws, at points near and far."""
    rng = np.random.default_rng(seed)
    problem = Logistic(signed(rng.standard_normal((5, 3)) * rng.uniform(0.1, 3, (5, 1)), np.resize([-1.0, 1.0], 5)))
    limit = ORACLES.make({"kind": "minibatch", "batch": batch}, "oracle").assumption4(problem).sigma2
    x, full = 10 ** rng.uniform(-2, 2) * rng.standard_normal(3), np.empty(3)
    problem.gradient(x, full)
    norms = []
    for draw in product(range(5), repeat=batch):
        out = np.empty(3)
        problem.minibatch(x, np.array(draw), out)
        norms.append(np.abs(out - full).sum() ** 2)
    assert limit.how == "upper"
    assert np.mean(norms) <= limit.value


def test_the_data_are_read_for_the_noise_once(monkeypatch):
    problem = PROBLEMS["logistic"](data="wine")
    first, read = problem.noise(1), []
    monkeypatch.setattr(problem._sums, "_ranges", lambda segment: read.append(segment) or iter(()))
    assert problem.noise(1) == first
    assert 0 < problem.noise(10**6).sigma2.value < first.sigma2.value
    assert not read


def test_shards_say_nothing_and_the_exact_gradient_has_no_noise():
    problem = PROBLEMS["logistic"](data="wine")
    assert ORACLES["minibatch"](batch=1, sampling="shard").assumption4(problem).sigma2 is None
    none = ORACLES["full"]().assumption4(problem)
    assert (none.sigma2.value, none.p_min.value, none.p_min_literal.value) == (0.0, 1.0, 1.0)


def test_clopper_and_pearson_s_limits():
    """As scipy's exact binomial test has them."""
    low, high = sign_probability(np.array([0.0, 3.0, 50.0, 100.0]), 100, 0.025)
    for right, *limits in zip((0, 3, 50, 100), low, high, strict=True):
        interval = stats.binomtest(right, 100).proportion_ci(0.95, method="exact")
        assert limits == pytest.approx([interval.low, interval.high], abs=1e-12)
