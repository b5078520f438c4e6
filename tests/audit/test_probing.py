"""Probes at a frozen x against enumeration."""

import numpy as np
import pytest
from scipy import stats

from distributions import CE_A, data_of, drift_by_enumeration
from mpisign.algorithms.oracles import ORACLES
from mpisign.audit.probing import probe
from mpisign.problems import PROBLEMS
from mpisign.rng import RandomStreams

FALSE_ALARM = 1e-6
SIGMAS = stats.norm.isf(FALSE_ALARM / 2)
PROBLEM = PROBLEMS["finite-quadratic"](**data_of(CE_A))
X = np.array([0.1, 0.01])


def enumerated(workers):
    """E[M_k g'v] and P(sign g~_i = sign g_i), over every combination of the workers' draws."""
    return drift_by_enumeration(X, CE_A, workers), CE_A.weights @ (np.sign(X + CE_A.atoms) == np.sign(X))


def probed(workers, rounds=4000, **oracle):
    return probe(PROBLEM, ORACLES["minibatch"](batch=1, **oracle), workers, X, RandomStreams(7, 0), rounds)


def test_one_draw_a_worker_is_counted_exactly():
    """At x = (0.1, 0.01) the drift of CE-A is -0.0075, where (34) has at least +0.029."""
    found = probed(1)
    drift, right = enumerated(1)
    assert found.drift == (pytest.approx(drift, rel=1e-13), 0.0)
    assert drift == pytest.approx(-0.0075, rel=1e-12)
    assert found.right == pytest.approx(right, rel=1e-13)
    assert found.least() == pytest.approx((0.8, 0.8))
    assert found.sigma2 == (pytest.approx(0.424, rel=1e-13), 0.0)
    assert found.rounds == 0


@pytest.mark.parametrize("workers", [2, 3])
def test_rounds_of_workers_estimate_the_drift_of_the_vote(workers):
    found = probed(workers)
    drift, right = enumerated(workers)
    assert abs(found.drift[0] - drift) < SIGMAS * found.drift[1]
    assert abs(found.sigma2[0] - 0.424) < SIGMAS * found.sigma2[1]
    assert (found.low < right).all()
    assert (right < found.high).all()


def test_a_decoupled_norm_has_the_drift_that_the_proof_of_theorem_2_takes_for_granted():
    found = probed(1, decoupled=True)
    norm = CE_A.weights @ np.abs(X + CE_A.atoms).sum(axis=1)
    granted = norm * ((2 * enumerated(1)[1] - 1) @ np.abs(X))
    assert abs(found.drift[0] - granted) < SIGMAS * found.drift[1]
    assert found.rounds == 4000


def test_a_coordinate_without_gradient_has_no_right_sign():
    found = probe(PROBLEM, ORACLES["minibatch"](batch=1), 1, np.array([0.0, 0.01]), RandomStreams(7, 0), 10)
    assert found.least()[0] == pytest.approx(0.9)


def test_every_point_of_the_data_is_counted():
    """Against plain numpy on the rows of a bundled set."""
    problem = PROBLEMS["logistic"](data="wine")
    x = np.linspace(-1, 1, problem.dimension)
    found = probe(problem, ORACLES["minibatch"](batch=1), 1, x, RandomStreams(7, 0), 10)
    rows = problem.rows.block(0, problem.samples)
    gradients = -rows / (1 + np.exp(rows @ x))[:, None] + x / problem.samples
    full = gradients.mean(axis=0)
    assert found.right == pytest.approx((np.sign(gradients) == np.sign(full)).mean(axis=0), abs=1e-12)
    assert found.sigma2[0] == pytest.approx(np.square(np.abs(gradients - full).sum(axis=1)).mean(), rel=1e-10)
    assert found.drift[0] == pytest.approx((np.abs(gradients).sum(axis=1) * (np.sign(gradients) @ full)).mean())
