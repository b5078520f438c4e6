"""L and PL constants from Hessians: every limit against brute force, and certificates that fail where they should."""

from itertools import combinations, product

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import null_space

from mpisign.theory import polyak_lojasiewicz, smoothness
from mpisign.theory.polyak_lojasiewicz import pl_constant, pl_constant_of_toy
from mpisign.theory.smoothness import certifies, sign_limits
from objectives import brute_force, random_hessian, seeds


def norm(hessian):
    """||H||_{inf->1} = max ||Hv||_1 over the sign vectors."""
    signs = np.array(list(product((-1.0, 1.0), repeat=len(hessian))))
    return float(np.abs(signs @ hessian).sum(axis=1).max())


def correlated(seed, d):
    """A Gram matrix of unit rows, between independent and nearly alike, with fewer or more rows than columns."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((rng.integers(d // 2, 4 * d), d)) + 10 ** rng.uniform(-2, 1) * rng.standard_normal(d)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.T @ rows / (4 * len(rows)) + np.eye(d) / len(rows)


@given(seed=seeds, d=st.integers(1, 10), rank=st.integers(1, 12))
def test_small_semidefinite_hessians_are_exact(seed, d, rank):
    hessian = random_hessian(seed, d, rank)
    assert brute_force(hessian) == pytest.approx(norm(hessian), rel=1e-12)
    assert smoothness.smoothness(hessian) == {"L": (pytest.approx(norm(hessian), rel=1e-13), "exact")}


@given(seed=seeds, d=st.integers(1, 8))
def test_small_indefinite_hessians_are_exact(seed, d):
    hessian = np.random.default_rng(seed).standard_normal((d, d))
    hessian += hessian.T
    assert smoothness.smoothness(hessian) == {"L": (pytest.approx(norm(hessian), rel=1e-13), "exact")}


@given(seed=seeds, d=st.integers(1, 12), rank=st.integers(1, 12), definite=st.booleans())
def test_limits_hold_without_enumeration(seed, d, rank, definite):
    """Where the truth is known, the search and the relaxation; Nesterov's pi/2 for a semidefinite K, to 1%."""
    matrix = random_hessian(seed, d, rank) if definite else random_hessian(seed, d, d) - 2 * random_hessian(rank, d, d)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smoothness, "_FEW", 0)
        lower, upper = sign_limits(matrix)
    truth = brute_force(matrix)
    assert lower <= truth <= upper
    assert truth - lower <= 1e-10 * np.abs(matrix).sum()  # 16 starts find it for all of these
    if definite:
        assert upper <= 1.01 * np.pi / 2 * truth


@given(seed=seeds, d=st.integers(25, 60))
def test_limits_of_correlated_hessians(seed, d):
    hessian = correlated(seed, d)
    known = smoothness.smoothness(hessian)
    upper, lower = known["L"].value, known.get("L_lower", known["L"]).value
    assert known["L"].how == ("upper" if "L_lower" in known else "exact")
    assert hessian.trace() <= lower * (1 + 1e-9)
    assert lower <= upper <= 1.001 * np.pi / 2 * lower
    assert upper <= min(np.abs(hessian).sum(), d * np.linalg.eigvalsh(hessian)[-1]) * (1 + 1e-10)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (1000, d))
    assert np.einsum("ij,ij->i", signs @ hessian, signs).max() <= upper


@settings(max_examples=10)
@given(seed=seeds, d=st.integers(30, 60), definite=st.booleans())
def test_what_is_done_for_large_matrices_gives_limits_as_near(seed, d, definite):
    """By float32, Lanczos and a first shift, against float64 and all eigenvalues; what is exact is so to 1e-9."""
    hessian = correlated(seed, d) - (0.0 if definite else 0.3) * np.eye(d)
    slow = smoothness.smoothness(hessian)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smoothness, "_MANY", 24)
        fast = smoothness.smoothness(hessian)
        rough = smoothness.smoothness(hessian, 1e-5, semidefinite=True) if definite else fast
    lower, upper = slow.get("L_lower", slow["L"]).value * (1 - 1e-9), slow["L"].value * (1 + 1e-9)
    for found in (fast, rough):
        assert lower * (1 - 1e-2) <= found.get("L_lower", found["L"]).value <= upper
        assert lower <= found["L"].value <= (1 + 1e-2) * upper


@pytest.mark.parametrize("matrix", [np.zeros((30, 30)), np.eye(30), np.diag(np.arange(30.0)), np.ones((30, 30))])
def test_large_matrices_without_another_eigenvalue_or_with_zero_rows(matrix, monkeypatch):
    monkeypatch.setattr(smoothness, "_MANY", 24)
    known = smoothness.smoothness(matrix)
    assert known == {"L": (pytest.approx(np.abs(matrix).sum(), rel=1e-9), "exact")}


@given(seed=seeds, d=st.integers(25, 60))
def test_balanced_signs_are_exact_beyond_enumeration(seed, d):
    """H_ij of the sign of s_i s_j: L = sum |H_ij|, attained at s (docs/audit/corrections.md)."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], d)
    hessian = np.abs(random_hessian(seed, d, d)) * np.outer(signs, signs) + 100 * np.eye(d)
    assert smoothness.smoothness(hessian) == {"L": (pytest.approx(np.abs(hessian).sum(), rel=1e-9), "exact")}


def test_half_the_squared_norm_has_L_d_and_mu_1():
    for d in (1, 3, 40):
        assert smoothness.smoothness(np.eye(d)) == {"L": (pytest.approx(d, rel=1e-9), "exact")}
        assert pl_constant(np.eye(d)) == (pytest.approx(1.0, rel=1e-14), "exact")


def test_an_error_moves_the_limits_apart():
    hessian = random_hessian(1, 5, 5)
    truth = smoothness.smoothness(hessian)["L"].value
    assert smoothness.smoothness(hessian, error=1e-11 * truth)["L"].how == "exact"
    apart = smoothness.smoothness(hessian, error=0.25)
    assert apart == {"L": (truth + 0.25, "upper"), "L_lower": (truth - 0.25, "lower")}
    assert smoothness.smoothness(hessian, error=1e9)["L_lower"].value == 0.0


@pytest.mark.parametrize("d", [4, 30])
@pytest.mark.parametrize("power", [-1060, -400, 400, 1000])
def test_any_power_of_two(d, power):
    hessian = np.round(1024 * random_hessian(2, d, d))
    plain, moved = (smoothness.smoothness(matrix) for matrix in (hessian, np.ldexp(hessian, power)))
    assert moved["L"].value == np.ldexp(plain["L"].value, power)
    assert pl_constant(np.ldexp(hessian, power)).value == np.ldexp(pl_constant(hessian).value, power)


def test_a_zero_matrix_has_L_0():
    assert [smoothness.smoothness(np.zeros((d, d))) for d in (1, 3, 30)] == [{"L": (0.0, "exact")}] * 3


@given(seed=seeds, d=st.integers(1, 60), part=st.sampled_from([1e-12, 1e-9, 1e-3, 1.0]))
def test_certificates_fail_for_weights_that_are_too_small(seed, d, part):
    """diag(w) - K with its least eigenvalue moved to either side of 0, by a part of its trace beyond rounding's."""
    rng = np.random.default_rng(seed)
    matrix, weights = correlated(seed, d + 1), rng.uniform(0, 1, d + 1)
    step = max(part, 1e-14 * d) * np.abs(weights).sum()
    weights -= np.linalg.eigvalsh(np.diag(weights) - matrix)[0]
    assert certifies(matrix, weights + max(step, 1e-11 * d))
    assert not certifies(matrix, weights - step)


def test_a_certificate_knows_no_rounding():
    """w I - 11' is singular at w = d: one ulp below it is indefinite, and any certificate needs more than rounding."""
    for d in (2, 10, 100):
        assert not certifies(np.ones((d, d)), np.full(d, np.nextafter(d, 0)))
        assert not certifies(np.ones((d, d)), np.full(d, float(d)))
        assert certifies(np.ones((d, d)), np.full(d, d * (1 + 1e-10)))


def pl_by_supports(hessian):
    """1 / max g'H^+g over the vectors of the range, ||g||_1 = 1, that are alone with their support."""
    null, inverse, best = null_space(hessian, rcond=1e-10), np.linalg.pinv(hessian, rcond=1e-10), 0.0
    for size in range(1, len(hessian) + 1):
        for support in map(list, combinations(range(len(hessian)), size)):
            space = null_space(null[support].T, rcond=1e-9) if null.size else np.eye(size)
            if space.shape[1] == 1:
                g = np.zeros(len(hessian))
                g[support] = space[:, 0] / np.abs(space).sum()
                best = max(best, float(g @ inverse @ g))
    return 1 / best


@given(seed=seeds, d=st.integers(1, 6), rank=st.integers(1, 6))
def test_the_pl_constant_holds_and_is_attained(seed, d, rank):
    hessian = random_hessian(seed, d, rank)
    mu = pl_constant(hessian)
    assert mu.value == pytest.approx(pl_by_supports(hessian), rel=1e-7)
    x = np.random.default_rng(seed).standard_normal((500, d)) @ np.linalg.pinv(hessian, rcond=1e-10)  # no null part
    squares = np.einsum("ij,ij->i", x @ hessian, x)
    assert (np.abs(x @ hessian).sum(axis=1) ** 2 >= mu.value * squares * (1 - 1e-9)).all()


def test_the_pl_constant_of_many_coordinates_is_a_lower_limit():
    """Too many supports to enumerate: 1 / max (H^+)_ii; but exact where an e_i of the range attains it."""
    hessian = random_hessian(3, 40, 20)
    mu = pl_constant(hessian)
    assert mu.how == "lower"
    assert mu.value == pytest.approx(1 / np.linalg.pinv(hessian, rcond=1e-10).diagonal().max(), rel=1e-8)
    factor = np.random.default_rng(3).integers(-9, 10, (40, 20)).astype(float)  # of a rank that is exact
    hessian = np.zeros((41, 41))
    hessian[:40, :40] = factor @ factor.T / 64
    hessian[40, 40] = 1.0
    assert pl_constant(hessian) == (pytest.approx(1.0, rel=1e-12), "exact")


def ratios(omega, t):
    return (2 * t + 3 * omega * np.sin(2 * omega * t)) ** 2 / (2 * (t**2 + 3 * np.sin(omega * t) ** 2))


@given(omegas=st.lists(st.floats(0.01, 1.23), min_size=1, max_size=4))
def test_the_toy_s_pl_constant_is_below_every_ratio_and_near_the_least(omegas):
    mu = pl_constant_of_toy(np.array(omegas))
    assert mu.how == "lower"
    least = min(ratios(omega, np.linspace(1e-3, 12, 100_000) / omega).min() for omega in omegas)
    assert least * (1 - 1e-3) <= mu.value <= least


def test_the_toy_s_pl_constant_ends_where_the_gradient_has_another_zero():
    """2 t + 3 w sin 2wt has a double zero where u = 2wt has tan u = u and w^2 = -u / (3 sin u)."""
    u = mpmath.findroot(lambda u: mpmath.tan(u) - u, 4.5)
    critical = float(mpmath.sqrt(-u / (3 * mpmath.sin(u))))
    assert critical == pytest.approx(1.2387, abs=1e-4)
    assert pl_constant_of_toy(np.array([0.9999 * critical])).value > 0
    for omega in (1.0001 * critical, 2.0, 1e200):
        assert pl_constant_of_toy(np.array([0.5, omega])) is None


@pytest.mark.parametrize("omega", [0.1, 0.7, 1.0, 1.2])
def test_no_more_than_the_least_ratio_is_certified(omega):
    k = np.array([omega**2])
    least = ratios(omega, np.linspace(1, 4, 1_000_001) / omega).min()
    assert polyak_lojasiewicz._is_below_all_ratios(k, least * (1 - 1e-6))
    assert not polyak_lojasiewicz._is_below_all_ratios(k, least * (1 + 1e-6))
