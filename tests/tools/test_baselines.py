"""The programs that we are compared with compute the same mathematics."""

import math

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier

from mpisign.data.linear_rows import DenseRows
from mpisign.problems.logistic import Logistic
from mpisign.tools.bench.baselines import classifier, example5, plain
from mpisign.tools.bench.timing import QUICK


@pytest.fixture
def problem():
    rng = np.random.default_rng(3)
    return Logistic(DenseRows({"rows": rng.standard_normal((60, 7)).astype(np.float32)}))


def gradient(problem, x, samples):
    out = np.empty(problem.dimension)
    problem.minibatch(x, samples, out)
    return out


@pytest.mark.parametrize("samples", [np.arange(60), np.array([5, 5, 41])], ids=["all", "a batch"])
def test_the_plain_program_has_our_gradient(problem, samples):
    x = np.random.default_rng(4).standard_normal(7)
    theirs = plain.gradient(problem.rows.arrays["rows"][samples].astype(float), x) + x / 60
    np.testing.assert_allclose(theirs, gradient(problem, x, samples), rtol=1e-12)


@pytest.mark.parametrize("samples", [np.arange(60), np.array([5, 5, 41])], ids=["all", "a batch"])
def test_a_step_of_torch_is_down_our_gradient(problem, samples):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from mpisign.tools.bench.baselines import ddp

    module, x = ddp.model(7), np.random.default_rng(4).standard_normal(7).astype(np.float32)
    module.weight.data[:] = torch.from_numpy(x)
    ddp.step(module, ddp.optimiser(module, 60), torch.from_numpy(problem.rows.arrays["rows"][samples]))
    moved = (x - module.weight.detach().numpy()[0]) / ddp.ALPHA
    np.testing.assert_allclose(moved, gradient(problem, x.astype(float), samples), rtol=1e-4, atol=1e-6)


def test_a_step_of_the_classifier_is_down_our_loss(problem):
    """On one sample at x = 0, where its weight decay has nothing to do."""
    row = problem.rows.arrays["rows"][:1]
    model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.5, fit_intercept=False)
    model.partial_fit(row, [1.0], classes=[-1.0, 1.0])
    down = -0.5 * gradient(problem, np.zeros(7), np.array([0]))
    np.testing.assert_allclose(model.coef_[0], down, rtol=1e-6)


def test_the_classifier_is_measured():
    row = classifier.classifier(QUICK)
    assert 0 < row.low <= row.median <= row.high < math.inf


def test_without_mpi_the_rows_say_so(monkeypatch):
    monkeypatch.setattr(example5, "_no_ranks", lambda: "mpi4py is not installed")
    assert {row.why for row in example5.example5(QUICK)} == {"mpi4py is not installed"}
