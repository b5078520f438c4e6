"""What a gap cannot exceed: hostile paths stay below it, and the noise is within what its oracle says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpisign.algorithms.oracles import ORACLES
from mpisign.audit.bounds import path_limits
from mpisign.problems import PROBLEMS
from mpisign.theory.noise import Largest


def step(x, gradient, alpha, workers, draw):
    """One step of scaled signSGD with whatever `draw` gives each worker; ties and zeros do not move."""
    drawn = [draw(gradient) for _ in range(workers)]
    norm = np.mean([np.abs(one).sum() for one in drawn])
    return x - alpha * norm * np.sign(np.sum(np.sign(drawn), axis=0))


def against(noise, rng):
    """Noise within its limit that turns every sign that it can, or at random, or not at all."""

    def draw(gradient):
        worst = gradient - noise * np.sign(gradient)
        return (worst, gradient + rng.uniform(-1, 1, len(noise)) * noise, gradient)[rng.choice(3, p=[0.8, 0.1, 0.1])]

    return draw


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), d=st.integers(1, 4), workers=st.integers(1, 3), harmonic=st.booleans())
def test_no_path_is_above_it(seed, d, workers, harmonic):
    """Noise that turns the signs while it can drives x away; diagonal and other H, some of whose eigenvalues are 0."""
    rng = np.random.default_rng(seed)
    eigenvalues, noise = rng.choice([0.0, 0.3, 1.0, 4.0], d), rng.uniform(0, 1, d)
    factor = rng.standard_normal((d, d))
    largest, start, size = Largest(tuple(noise), noise.sum()), 2 * rng.standard_normal((1, d)), rng.uniform(0.01, 0.5)
    alpha = (lambda k: size * 3 / (k + 3)) if harmonic else (lambda k: size)
    k = np.array([1, 2, 7, 30])
    for hessian in (np.diag(eigenvalues), factor @ factor.T):
        upper = path_limits.any_quadratic(hessian, start, largest.norm, np.abs(hessian).sum(), alpha, k)
        if np.array_equal(hessian, np.diag(eigenvalues)):
            upper = np.minimum(upper, path_limits.separable(eigenvalues, start, largest, alpha, k))
        x, gaps = start[0], []
        for i in range(31):
            if i in k:
                gaps.append(x @ hessian @ x / 2)
            x = step(x, hessian @ x, alpha(i), workers, against(noise, rng))
        assert (np.array(gaps) <= upper[0] * (1 + 1e-9)).all()


def test_by_hand():
    """f = 2 x^2, x_0 = 1, noise 3, alpha = 1/8: |g| <= 4, then max(4 - (4 - 3)/2, 3 + 7/2) = 6.5, then 3 + 9.5/2."""
    found = path_limits.separable(
        np.array([4.0]), np.ones((1, 1)), Largest((3.0,), 3.0), lambda k: 1 / 8, np.array([0, 1, 2])
    )
    assert found.tolist() == [[4**2 / 8, 6.5**2 / 8, 7.75**2 / 8]]
    any_matrix = path_limits.any_quadratic(np.array([[4.0]]), np.ones((1, 1)), 3.0, 4.0, lambda k: 1 / 8, np.array([1]))
    assert any_matrix.tolist() == [[(2 + 1 / 8 * 2 * 7) ** 2 / 2]]


@pytest.mark.parametrize(
    "oracle",
    [
        {"kind": "additive", "noise": "three-point", "size": 0.3, "q": 0.2},
        {"kind": "additive", "noise": "uniform", "size": 0.3},
        {"kind": "paired", "e": 0.15, "h": 0.4, "limit": 2},
        {"kind": "paired", "e": 0.5, "h": 1, "limit": 2},
        {"kind": "sideways", "e": 0.3, "h": 0.5, "b": 3, "limit": 1.5},
        {"kind": "sideways", "e": 0.9, "h": 0.5, "b": 3, "limit": 1.5},
        {"kind": "minibatch", "batch": 1},
        {"kind": "minibatch", "batch": 7},
    ],
)
def test_the_noise_is_within_what_its_oracle_says(oracle):
    """2000 draws at 20 points; and it comes near: a limit ten times too large would say nothing."""
    rng = np.random.default_rng(1)
    finite = {"atoms": [[0.4, -1.0], [-0.4, 0.4], [0.0, 0.2]], "weights": [0.2, 0.2, 0.6]}
    table = {"kind": "finite-quadratic", "eigenvalues": [1.0, 1.0], **finite}
    problem, asked = PROBLEMS.make(table, "problem"), ORACLES.make(oracle, "oracle")
    largest, source = asked.assumption4(problem).largest, asked.source(problem, 1)
    seen, out, exact = [], np.empty(2), np.empty(2)
    for x in rng.uniform(-1, 1, (20, 2)):
        problem.gradient(x, exact)
        for _ in range(100):
            source(x, 0, rng, out)
            seen.append(np.abs(out - exact))
    seen = np.array(seen)
    assert (seen <= np.array(largest.each) * (1 + 1e-12)).all()
    assert seen.sum(axis=1).max() <= largest.norm * (1 + 1e-12)
    assert seen.sum(axis=1).max() > largest.norm / 10


def test_what_has_no_limit():
    problem = PROBLEMS.make({"kind": "separable", "eigenvalues": [1.0, 1.0]}, "problem")
    for oracle in (
        {"kind": "additive", "noise": "normal", "size": 0.3},
        {"kind": "paired", "e": 0.15, "h": 0.4},
        {"kind": "sideways", "e": 0.3, "h": 0.5, "b": 3},
    ):
        assert ORACLES.make(oracle, "oracle").assumption4(problem).largest is None
