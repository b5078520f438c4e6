"""What tests of problems share: their values and constants as others compute them."""

from itertools import product

import numpy as np
import pytest
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from mpisign.comm.communicator import SerialCommunicator
from mpisign.data.loading import load
from mpisign.problems.distributed_objective import Objective

seeds = st.integers(0, 2**32 - 1)


def fitted(problem, table):
    """scikit-learn's minimiser; its objective with C = 1 is n f."""
    model = LogisticRegression(C=1.0, fit_intercept=False, solver="newton-cholesky", tol=1e-11, max_iter=1000)
    return model.fit(*load(table["data"], table.get("scaling"))).coef_[0]


def constants(problem):
    return problem.constants(Objective(problem, SerialCommunicator()))


def gradient(problem, x):
    out = np.full(problem.dimension, np.nan)
    problem.gradient(x, out)
    return out


def evaluated(problem, points):
    """The sum of all parts at `points`; every part must fill its output."""
    total = np.zeros((len(points), 1 + problem.dimension))
    for segment in range(problem.segments):
        out = np.full_like(total, np.nan)
        problem.part(points, segment, out)
        total += out
    return total


def somewhere(problem, seed, count=1):
    rng = np.random.default_rng(seed)
    return 10 ** rng.uniform(-2, 1) * rng.standard_normal((count, problem.dimension))


def brute_force(hessian):
    """max of v'Hv over the sign vectors."""
    return max(float(np.array(v) @ hessian @ v) for v in product((-1.0, 1.0), repeat=len(hessian)))


def assert_limits_smoothness(constant, hessian):
    truth = brute_force(hessian)
    if constant.how == "exact":
        assert constant.value == pytest.approx(truth, rel=1e-12)
    else:
        assert constant.how == "upper"
        assert constant.value >= truth * (1 - 1e-12)


def random_hessian(seed, d, rank):
    """A Gram matrix of that rank to the last bit: its factor is in whole parts of 1024."""
    factor = np.round(1024 * np.random.default_rng(seed).standard_normal((rank, d))) / 1024
    gram = factor.T @ factor
    return (gram + gram.T) / 2
