"""The bounds against their formulas in 30 digits, the recursions of their proofs, and what their theorems refuse."""

import itertools
import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
import scipy.special
from hypothesis import assume, given, target
from hypothesis import strategies as st

from distributions import CE_A, drift_by_enumeration
from mpisign.theory import bounds, conditions, drift, vote_moments
from mpisign.theory.certificates.laws import paired
from mpisign.theory.extremal import sharpness
from mpisign.theory.noise import FiniteDistribution

SEEDS = st.integers(0, 2**32 - 1)
KS = np.array([0, 1, 2, 7, 100, 12_345, 10_000_000])
TIMES = np.array([0.0, 1e-3, 0.7, 30.0])
TINY = 1e-300
"""An underflow is no error."""


def mp_half(p, workers):
    kappa = (workers + 1) // 2
    return mp.betainc(kappa, kappa, 0, mp.mpf(p), regularized=True)


def over(numerator, denominator):
    return numerator / denominator if denominator else mp.inf


def linear(k, gap0, zeta, floor):
    return zeta**k * gap0 + floor


def mp_theorem1(k, gap0, mu, L, alpha):
    return (1 - 2 * mu * alpha * (1 - L * alpha / 2)) ** k * gap0


def mp_theorem1_gradient(k, gap0, L, alpha):
    return gap0 / (alpha * (1 - L * alpha / 2) * (k + 1))


def mp_theorem2(k, gap0, mu, L, alpha, p_min, sigma2):
    drift = 2 * p_min - 1 - L * alpha
    return linear(k, gap0, 1 - 2 * mu * alpha * drift, L * sigma2 * alpha / (2 * mu * drift))


def mp_theorem2_harmonic(k, gap0, mu, L, p_min, sigma2, workers):
    noise = 9 * L * sigma2 / (mu**2 * (2 * mp_half(p_min, workers) - 1) ** 2)
    return mp.inf if k == 0 else noise * (32 / k + 1 / k**2) + gap0 / (k + 1) ** 3


def mp_theorem3(k, gap0, mu, L, alpha, p_min, sigma2, workers):
    zeta = 1 - 2 * mu * alpha * (2 * mp_half(p_min, workers) - 1 - L * alpha)
    return linear(k, gap0, zeta, L * sigma2 * alpha**2 / (1 - zeta))


def mp_not_right(workers):
    """By trying: the least share of not right workers with more wrong than right ones, zeros among them."""
    counts = [(r, w) for r in range(workers + 1) for w in range(workers + 1 - r) if w > r]
    return mp.mpf(min(workers - r for r, _ in counts)) / workers


def mp_share(workers):
    return (2 / mp_not_right(workers) - 1) ** 2


def mp_offset(workers):
    return 1 / (4 * mp_not_right(workers))


def mp_floor(k, gap0, mu, L, alpha, sigma2, workers):
    theta = 1 - L * alpha / 2
    return linear(k, gap0, 1 - mu * alpha * theta, mp_share(workers) * sigma2 / (2 * mu * theta**2))


def mp_drift(k, gap0, mu, L, alpha, rho, delta, sigma2):
    zeta = 1 - 2 * mu * alpha * (rho - L * alpha)
    return linear(k, gap0, zeta, (delta + L * sigma2 * alpha) / (2 * mu * (rho - L * alpha)))


def mp_repaired(k, gap0, mu, L, alpha, p_min, sigma2, workers=1):
    rho = 2 * mp_half(p_min, workers) - 1
    return mp_drift(k, gap0, mu, L, alpha, rho, mp_offset(workers) * sigma2, sigma2)


def mp_max(k, gap0, mu, L, rho, sigma2, c, k0):
    return max(k0 * gap0, c**2 * L * sigma2 / ((c - 1) * mu**2 * rho**2)) / (k + k0)


def mp_cubic(k, gap0, mu, L, rho, sigma2, delta, k0):
    late = k + k0
    noise = 9 * L * sigma2 / (2 * mu**2 * rho**2) * (1 + 1 / k0) ** 3 / late
    return (k0 / late) ** 3 * gap0 + noise + delta / (mu * rho) * (1 + 1 / k0) ** 3


def cubic(k, gap0, **parameters):
    return bounds.harmonic_shifted(k, gap0, form="cubic", **parameters)


def draw(rng):
    """mu, L, p_min, ... and the fraction of its range that alpha takes; mu = L now and then."""
    L = float(np.exp(rng.uniform(-5, 5)))
    rho = float(np.exp(rng.uniform(-3, 0)))
    mu = L * float(rng.choice([1, np.exp(rng.uniform(-12, 0))]))
    k0 = math.ceil(max(6 * L / (mu * rho**2), 3)) + int(rng.integers(0, 3))
    return {
        "L": L,
        "mu": mu,
        "p_min": float(rng.uniform(0.55, 1)),
        "sigma2": float(rng.choice([0, np.exp(rng.uniform(-5, 5))])),
        "workers": int(rng.integers(1, 12)),
        "rho": rho,
        "delta": float(np.exp(rng.uniform(-9, 0))),
        "c": float(rng.uniform(1.1, 3)),
        "k0": k0,
        "fraction": float(rng.uniform(0.02, 0.98)),
    }


BOUNDS = {  # the function, the formula, its parameters, and the drift whose range alpha must be in
    "theorem1": (bounds.theorem1, mp_theorem1, "mu L alpha", lambda v: 2),
    "theorem1_gradient": (bounds.theorem1_gradient, mp_theorem1_gradient, "L alpha", lambda v: 2),
    "theorem2": (bounds.theorem2, mp_theorem2, "mu L alpha p_min sigma2", lambda v: 2 * v["p_min"] - 1),
    "theorem2_harmonic": (bounds.theorem2_harmonic, mp_theorem2_harmonic, "mu L p_min sigma2 workers", None),
    "theorem3": (
        bounds.theorem3,
        mp_theorem3,
        "mu L alpha p_min sigma2 workers",
        lambda v: float(2 * mp_half(v["p_min"], v["workers"]) - 1),
    ),
    "floor_bound": (bounds.floor_bound, mp_floor, "mu L alpha sigma2 workers", lambda v: 2),
    "theorem2_repaired": (
        bounds.theorem2_repaired,
        mp_repaired,
        "mu L alpha p_min sigma2",
        lambda v: 2 * v["p_min"] - 1,
    ),
    "theorem3_repaired": (
        bounds.theorem3_repaired,
        mp_repaired,
        "mu L alpha p_min sigma2 workers",
        lambda v: float(2 * mp_half(v["p_min"], v["workers"]) - 1),
    ),
    "drift_bound": (bounds.drift_bound, mp_drift, "mu L alpha rho delta sigma2", lambda v: v["rho"]),
    "harmonic_shifted": (bounds.harmonic_shifted, mp_max, "mu L rho sigma2 c k0", None),
    "cubic": (cubic, mp_cubic, "mu L rho sigma2 delta k0", None),
}
FLOWS = {
    "proposition1": (bounds.proposition1, lambda t, v, D1, beta: D1**2 * v / (D1**2 + v * beta * t), "D1 beta"),
    "proposition1_gradient": (
        bounds.proposition1_gradient,
        lambda t, v, beta: mp.sqrt(over(v, beta * t)),
        "beta",
    ),
    "proposition2": (bounds.proposition2, lambda t, v, D2, beta: v * mp.exp(-beta * t / D2), "D2 beta"),
    "proposition2_gradient": (bounds.proposition2_gradient, lambda t, v, beta: over(v, beta * t), "beta"),
}


def parameters(name, rng):
    """Random ones in the range of the theorem."""
    _, _, names, top = BOUNDS[name]
    values = draw(rng)
    if top:
        values["alpha"] = values["fraction"] * top(values) / values["L"]
    return {each: values[each] for each in names.split()}


def agrees(found, formula, arguments, gap0, parameters):
    with mp.workdps(30):
        exact = {name: mp.mpf(value) if name != "workers" else value for name, value in parameters.items()}
        expected = [formula(mp.mpf(float(k)), mp.mpf(gap0), **exact) for k in arguments]
        for value, wanted in zip(found, expected, strict=True):
            assert value == wanted or abs(value - wanted) <= 1e-11 * abs(wanted) + TINY, (value, wanted)


# The formulas


@pytest.mark.parametrize("name", BOUNDS)
@given(seed=SEEDS)
def test_formula(name, seed):
    """To 1e-11 also at k = 1e7, where a plain zeta ** k loses half its digits."""
    rng = np.random.default_rng(seed)
    function, formula, _, _ = BOUNDS[name]
    values, gap0 = parameters(name, rng), float(np.exp(rng.uniform(-5, 5)))
    agrees(function(KS, gap0, **values), formula, KS, gap0, values)


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("gap0", [0.3, 25.0])
def test_formula_of_a_flow(name, gap0):
    function, formula, names = FLOWS[name]
    values = {each: {"D1": 1.7, "D2": 0.9, "beta": 0.4}[each] for each in names.split()}
    agrees(function(TIMES, gap0, **values), formula, TIMES, gap0, values)


@pytest.mark.parametrize(
    ("bound", "value"),
    [
        # By hand. mu = 1, L = 2, alpha = 1/2: zeta = 1/2. p = 3/4, alpha = 1/8: zeta_1 = 15/16, floor 1/2 sigma^2.
        (bounds.theorem1(np.array([3]), 8.0, mu=1, L=2, alpha=0.5), 1.0),
        (bounds.theorem1_gradient(np.array([3]), 8.0, L=2, alpha=0.5), 8.0),
        (bounds.theorem2(np.array([1]), 16.0, mu=1, L=2, alpha=0.125, p_min=0.75, sigma2=3.0), 15 + 1.5),
        (bounds.theorem2_harmonic(np.array([1]), 8.0, mu=1, L=1, p_min=1, sigma2=1.0), 9 * 33 + 1),
        # I_3/4(2, 2) = 27/32: A = 11/16; alpha = 1/8, L = 2: 1 - zeta_2 = 7/64 and floor (2/64) / (7/64).
        (bounds.theorem3(np.array([1]), 64.0, mu=1, L=2, alpha=0.125, p_min=0.75, sigma2=1.0, workers=3), 57 + 2 / 7),
        # theta = 1/2.
        (bounds.floor_bound(np.array([2]), 16.0, mu=1, L=2, alpha=0.5, sigma2=1.0), 9 + 2),
        (bounds.floor_bound(np.array([2]), 16.0, mu=1, L=2, alpha=0.5, sigma2=1.0, workers=2), 9 + 2),
        # k0 = 12: max{12, 9} / 24 and 1/8 + 4.5 (13/12)^3 / 24.
        (bounds.harmonic_shifted(np.array([12]), 1.0, mu=1, L=2, rho=1, sigma2=1.0), 0.5),
        (
            bounds.harmonic_shifted(np.array([12]), 1.0, mu=1, L=2, rho=1, sigma2=1.0, form="cubic"),
            0.125 + 9 * (13 / 12) ** 3 / 24,
        ),
    ],
)
def test_by_hand(bound, value):
    assert bound == pytest.approx(value, rel=1e-14)


def test_the_rows_of_ce_a_and_ce_b():
    """The rows of CE-A and CE-B at alpha = 1e-3, where zeta^K V_0 is nothing: as the audit printed them."""
    k, both = np.array([50_000]), {"mu": 1, "L": 2, "alpha": 1e-3}
    gap0 = (0.1**2 + 0.01**2) / 2
    assert bounds.theorem2(k, gap0, p_min=0.8, sigma2=0.424, **both) == pytest.approx(0.000709, abs=5e-7)
    assert bounds.theorem2(k, gap0, p_min=0.6, sigma2=0.424, **both) == pytest.approx(0.002141, abs=5e-7)
    assert bounds.floor_bound(k, gap0, sigma2=0.424, **both) == pytest.approx(0.2124, abs=5e-5)
    for workers, printed in ((1, 0.002990), (2, 0.002990), (3, 0.002014)):
        found = bounds.theorem3(k, 0.00125, p_min=0.6, sigma2=0.592, workers=workers, **both)
        assert found == pytest.approx(printed, abs=5e-7)


@pytest.mark.parametrize("name", BOUNDS)
def test_every_repeats_own_start(name):
    """gap0 of shape (R, 1) against k of shape (n,): (R, n), each row the bound from its own start."""
    values = parameters(name, np.random.default_rng(5))
    function, gaps = BOUNDS[name][0], np.array([0.0, 1.0, 40.0])
    found = function(KS, gaps[:, None], **values)
    assert found.shape == (3, len(KS))
    assert found.dtype == np.float64
    for row, gap0 in zip(found, gaps, strict=True):
        assert (row == function(KS.astype(float), gap0, **values)).all()


# The beta function and the vote


@given(p=st.floats(0, 1), workers=st.integers(1, 60))
def test_beta_half(p, workers):
    kappa = (workers + 1) // 2
    assert vote_moments.beta_half(p, workers) == scipy.special.betainc(kappa, kappa, p)


@pytest.mark.parametrize("workers", [1, 3, 5, 9, 15])
@pytest.mark.parametrize("p", [Fraction(1, 2), Fraction(3, 5), Fraction(7, 8), Fraction(1)])
def test_beta_half_is_a_binomial_tail(p, workers):
    """I_p(kappa, kappa) = P(at least kappa of 2 kappa - 1 are right), in fractions."""
    needed = range((workers + 1) // 2, workers + 1)
    tail = sum(math.comb(workers, right) * p**right * (1 - p) ** (workers - right) for right in needed)
    assert vote_moments.beta_half(float(p), workers) == pytest.approx(float(tail), rel=1e-14)


def enumerated(p, workers, ties):
    """E[sign(g) vote] over the 2^M patterns of right and wrong; a coin is both its sides."""
    sides = {"zero": (0, 0), "coin": (-1, 1), "plus-positive": (1, 1), "plus-negative": (-1, -1)}[ties]
    total = 0.0
    for pattern in itertools.product((1, -1), repeat=workers):
        chance = math.prod(p if right == 1 else 1 - p for right in pattern)
        majority = sum(pattern)
        total += chance * (np.sign(majority) if majority else sum(sides) / 2)
    return total


@pytest.mark.parametrize("ties", ["zero", "coin", "plus-positive", "plus-negative"])
@pytest.mark.parametrize("workers", range(1, 10))
def test_vote_advantage_is_the_mean_over_every_pattern(workers, ties):
    p = np.array([0.0, 0.2, 0.5, 0.51, 0.83, 1.0])
    found = vote_moments.vote_advantage(p, workers, ties)
    assert found == pytest.approx(np.array([enumerated(each, workers, ties) for each in p]), abs=1e-14)


@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_an_even_worker_adds_nothing(n):
    """A_2n = A_2n-1 where ties count 0 (docs/audit/corrections.md)."""
    p = np.linspace(0, 1, 21)
    assert (vote_moments.vote_advantage(p, 2 * n) == vote_moments.vote_advantage(p, 2 * n - 1)).all()


@pytest.mark.parametrize(
    ("workers", "p"),
    [
        (2, math.sqrt(0.5)),
        (4, 0.6142724318676105),
        (6, 0.5785928093092869),
        (8, 0.5598447953652342),
        (10, 0.5483058437763369),
    ],
)
def test_where_ties_of_plus_lose_their_advantage(workers, p):
    """docs/audit/corrections.md: below this p a coordinate with g_i < 0 is driven the wrong way."""
    assert vote_moments.vote_advantage(p, workers, "plus-negative") == pytest.approx(0, abs=1e-15)
    assert vote_moments.vote_advantage(p - 1e-6, workers, "plus-negative") < 0
    assert vote_moments.vote_advantage(p + 1e-6, workers, "plus-negative") > 0


# Limits, order, recursions


@pytest.mark.parametrize("name", BOUNDS)
@given(seed=SEEDS)
def test_order_and_limits(name, seed):
    """Never increasing in k, increasing in V_0; at k = 0 at least V_0 where it bounds the gap."""
    values = parameters(name, np.random.default_rng(seed))
    function = BOUNDS[name][0]
    one, two = function(KS, 1.0, **values), function(KS, 2.0, **values)
    assert (one[1:] <= one[:-1]).all()
    assert (one <= two).all()
    if name != "theorem1_gradient":
        assert one[0] >= 1 - 1e-15


@given(seed=SEEDS)
def test_without_noise_and_with_every_sign_right(seed):
    """p_min = 1, any M: the floor is 0, Theorems 2 and 3 agree, and C1 at rho = 1 is both."""
    rng = np.random.default_rng(seed)
    values = parameters("theorem1", rng)
    values["alpha"] /= 2  # < 1/L
    one = bounds.theorem2(KS, 1.0, p_min=1.0, sigma2=0.0, **values)
    assert (one == bounds.theorem3(KS, 1.0, p_min=1.0, sigma2=0.0, workers=4, **values)).all()
    assert (one == bounds.drift_bound(KS, 1.0, rho=1.0, delta=0.0, sigma2=0.0, **values)).all()
    assert (
        bounds.theorem1(KS, 1.0, **values) <= one
    ).all()  # (19) takes 2 L alpha^2 N^2 / 2 for Theorem 1's half of it
    assert bounds.zeta(**values) == pytest.approx(bounds.theorem1(np.array([1]), 1.0, **values)[0], abs=1e-15)


def test_zeta_is_zero_where_the_condition_number_is_one():
    """mu = L, alpha = 1/L: one step, and 0^0 = 1."""
    assert bounds.zeta(3.0, 3.0, 1 / 3) == 0
    assert bounds.theorem1(KS, 5.0, mu=3.0, L=3.0, alpha=1 / 3).tolist() == [5.0, 0, 0, 0, 0, 0, 0]


def test_at_zero_the_rates_are_infinite():
    zero = np.array([0])
    assert bounds.theorem2_harmonic(zero, 0.0, mu=1, L=1, p_min=0.9, sigma2=0.0)[0] == math.inf
    assert bounds.proposition1_gradient(zero, 0.0, beta=1)[0] == math.inf
    assert bounds.proposition2_gradient(zero, 0.0, beta=1)[0] == math.inf


@pytest.mark.parametrize("name", ["theorem1", "theorem2", "theorem3", "floor_bound", "drift_bound"])
@given(seed=SEEDS)
def test_the_recursion_stays_below(name, seed):
    """V <- (1 - rate) V + what a step adds, 300 times, where both are read off the proof, not off the closed form."""
    values = parameters(name, np.random.default_rng(seed))
    function, _, _, top = BOUNDS[name]
    alpha, L, mu, sigma2 = (values.get(each, 0.0) for each in ("alpha", "L", "mu", "sigma2"))
    theta = 1 - L * alpha / 2
    if name == "theorem1":
        rate, added = 2 * mu * alpha * theta, 0.0
    elif name == "floor_bound":
        sigma2 *= float(mp_share(values["workers"]))
        rate, added = mu * alpha * theta, alpha * sigma2 / (2 * theta)
    else:
        rate = 2 * mu * alpha * (top(values) - L * alpha)
        added = alpha * values.get("delta", 0.0) + L * sigma2 * alpha**2
    gaps = list(itertools.accumulate(range(300), lambda v, _: (1 - rate) * v + added, initial=1.0))
    assert (np.array(gaps) <= function(np.arange(301), 1.0, **values) * (1 + 1e-12) + TINY).all()


@pytest.mark.parametrize("form", ["max", "cubic"])
@given(seed=SEEDS)
def test_the_recursion_of_C3_stays_below(form, seed):
    """V <- max(0, 1 - 2 mu alpha (rho - L alpha)) V + alpha delta + L sigma^2 alpha^2, also at the least k0."""
    rng = np.random.default_rng(seed)
    values = draw(rng)
    c = 3.0 if form == "cubic" else values["c"]
    mu, L, rho, sigma2 = (values[each] for each in ("mu", "L", "rho", "sigma2"))
    delta = values["delta"] if form == "cubic" else 0.0
    k0 = rng.choice([bounds.shift(mu, L, rho, c), 1.5 * bounds.shift(mu, L, rho, c)])
    found = bounds.harmonic_shifted(
        np.arange(401), 1.0, mu=mu, L=L, rho=rho, sigma2=sigma2, c=c, k0=k0, form=form, delta=delta
    )
    v = 1.0
    for k in range(401):
        assert v <= found[k] * (1 + 1e-12)
        alpha = c / (mu * rho * (k + k0))
        v = max(0.0, 1 - 2 * mu * alpha * (rho - L * alpha)) * v + alpha * delta + L * sigma2 * alpha**2


def test_a_large_drift_leaves_c():
    """1 - c/t >= 0 from the first step: for rho > sqrt(2 L / mu) the condition L alpha_k <= rho/2 is the weaker one."""
    assert bounds.shift(1.0, 1.0, 5.0, 2.5) == 2.5
    assert bounds.shift(1.0, 1.0, 1.0, 2.5) == 5.0


def test_the_default_shift_is_the_least_whole_one():
    same = {"mu": 0.3, "L": 2.0, "rho": 0.7, "sigma2": 1.0}
    least = bounds.shift(0.3, 2.0, 0.7)
    assert least == pytest.approx(12 / (0.3 * 0.49))
    default = bounds.harmonic_shifted(KS, 1.0, **same)
    assert (default == bounds.harmonic_shifted(KS, 1.0, k0=math.ceil(least), **same)).all()
    with pytest.raises(ValueError, match="k0 >= max"):
        bounds.harmonic_shifted(KS, 1.0, k0=math.ceil(least) - 1, **same)


# The drifts


def law(rng, d, kind):
    """Noise with mean 0 on few points: independent, or symmetric at each coordinate given the others, or any."""
    if kind == "any":
        noises, chances = rng.standard_normal((4, d)) * 3, rng.dirichlet(np.ones(4))
        return noises - chances @ noises, chances
    if kind == "symmetric":
        size = np.abs(rng.standard_normal((2, d))) * 3
        signs = np.array(list(itertools.product((-1, 1), repeat=d)))
        return np.concatenate([size[0] * signs, size[1] * signs]), np.full(2 * len(signs), 0.5 / len(signs))
    right = rng.uniform(0.55, 0.95, d)  # up by up with this chance, otherwise down; g_i > 0 and less than down
    up = np.exp(rng.uniform(-3, 1, d))
    points = np.array(list(itertools.product((0, 1), repeat=d)))
    noises = np.where(points, up, -up * right / (1 - right))
    return noises, np.where(points, right, 1 - right).prod(axis=1)


def held(rng, certified, g, noises, chances, workers=1, ties="zero"):
    lower = certified.rho * np.abs(g).sum() ** 2 - certified.delta
    found = drift_by_enumeration(g, FiniteDistribution(noises, chances), workers, ties)
    return found >= lower - 1e-12 * (1 + abs(lower))


TIES = st.sampled_from(["zero", "coin", "plus-positive", "plus-negative"])


@given(seed=SEEDS, d=st.integers(1, 4), theta=st.floats(0.05, 1), workers=st.integers(1, 3), ties=TIES)
def test_any_noise_has_the_drift_of_C0_and_R3(seed, d, theta, workers, ties):
    """For every rule for ties; `target` lets hypothesis look for laws that come near to equality."""
    rng = np.random.default_rng(seed)
    noises, chances = law(rng, d, "any")
    g = signed(rng.standard_normal(d) * np.exp(rng.uniform(-3, 2)), ties)
    sigma2 = float(chances @ np.abs(noises).sum(axis=1) ** 2)
    certified = drift.any_noise(sigma2, theta=theta, workers=workers, ties=ties)
    target(used(certified, g, noises, chances, workers, ties))
    assert held(rng, certified, g, noises, chances, workers, ties)


@given(seed=SEEDS, d=st.integers(1, 3), workers=st.integers(1, 3))
def test_independent_coordinates_have_the_drift_of_C2(seed, d, workers):
    """Also where a wrong sign comes with a large norm, so that M_k and the vote are correlated the wrong way."""
    rng = np.random.default_rng(seed)
    noises, chances = law(rng, d, "independent")
    g = rng.uniform(0.01, 0.99, d) * -noises.min(axis=0)
    p_min = min(float(chances @ (noises[:, i] + g[i] > 0)) for i in range(d))
    certified = drift.voted(p_min, workers)
    assert certified.rho == vote_moments.vote_advantage(p_min, workers)
    assert held(rng, certified, g, noises, chances, workers)
    assert held(rng, drift.independent(p_min, d), g, noises, chances)


@given(seed=SEEDS, d=st.integers(1, 4))
def test_symmetric_noise_has_the_drift_of_C2(seed, d):
    rng = np.random.default_rng(seed)
    noises, chances = law(rng, d, "symmetric")
    assert held(rng, drift.symmetric(d), rng.standard_normal(d), noises, chances)


def signed(g, ties):
    """g with the sign that a rule "plus-positive" or "plus-negative" speaks of, at every coordinate."""
    return {"plus-positive": np.abs(g), "plus-negative": -np.abs(g)}.get(ties, g)


def used(certified, g, noises, chances, workers, ties="zero"):
    """How much of delta is used: (rho ||g||_1^2 less the drift) / delta, 1 at equality."""
    found = drift_by_enumeration(g, FiniteDistribution(noises, chances), workers, ties)
    return (certified.rho * np.abs(g).sum() ** 2 - found) / certified.delta


@given(seed=SEEDS, d=st.integers(1, 4), workers=st.integers(1, 3), size=st.floats(-2, 4), ties=TIES)
def test_any_noise_has_the_drift_of_R1_R2_and_R4(seed, d, workers, size, ties):
    """With no independence at all, wherever each sign is right with more than 1/2."""
    rng = np.random.default_rng(seed)
    noises, chances = law(rng, d, "any")
    g = signed(rng.standard_normal(d) * np.exp(size), ties)
    right = chances @ (np.sign(noises + g) == np.sign(g))
    p_min = min(float(right.min()), 1.0)  # a sum of chances can be an ulp more
    assume(p_min > 0.5)
    sigma2 = float(chances @ np.abs(noises).sum(axis=1) ** 2)
    certified = drift.repaired(p_min, sigma2, workers, ties)
    target(used(certified, g, noises, chances, workers, ties))
    assert held(rng, certified, g, noises, chances, workers, ties)
    if ties in ("zero", "coin"):
        assert held(rng, drift.sharp(p_min, sigma2, workers), g, noises, chances, workers, ties)


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("ties", ["zero", "coin"])
def test_how_near_a_law_comes_to_R3(workers, ties):
    """The paired oracle with e = 1/2 has D = 0 and sigma = ||g||_1, and uses all of sigma^2/2, where c = 1.

    That is where phi = 1; elsewhere 1/c^2 of it, as far as is known.
    """
    g, h = np.ones(2), 1e-9
    outcomes = paired((1.0, 1.0), 0.5, h)
    noises = np.array([value for _, value in outcomes]) - g
    chances = np.array([weight for weight, _ in outcomes])
    sigma2 = float(chances @ np.abs(noises).sum(axis=1) ** 2)
    share = used(drift.any_noise(sigma2, workers=workers, ties=ties), g, noises, chances, workers, ties)
    c = 2 / vote_moments.wrong_share(workers, ties) - 1
    assert 0.999 / c**2 <= share <= 1 + 1e-6


@pytest.mark.parametrize(("p_min", "workers"), [(0.6, 1), (0.7, 1), (0.9, 1), (0.6, 2), (0.7, 2), (0.6, 3)])
def test_how_near_laws_come_to_R4(p_min, workers):
    """A law of two atoms with 6 coordinates uses nine tenths of delta or more; with more coordinates, all of it."""
    share = sharpness.best_share(p_min, 6, workers)
    outcomes = sharpness.example(p_min, share, sharpness.turning_share(p_min, workers), 1e-9)
    g = np.full(share.denominator, 1 / share.denominator)
    noises = np.array([value for _, value in outcomes]) - g
    chances = np.array([weight for weight, _ in outcomes])
    certified = drift.sharp(p_min, float(chances @ np.abs(noises).sum(axis=1) ** 2), workers)
    assert 0.9 <= used(certified, g, noises, chances, workers) <= 1 + 1e-6


@pytest.mark.parametrize(
    ("p_min", "workers", "share"), [(0.95, 1, 0.47), (0.9, 1, 0.6), (0.8, 1, 0.71), (0.8, 3, 0.12)]
)
def test_how_near_the_paired_oracle_comes_to_R1_and_R2(p_min, workers, share):
    """How much of sigma^2/4, or sigma^2/2, is needed: A ||g||_1^2 less the drift, at the worst of many sizes of g_2."""
    most = 0.0
    for ratio in np.geomspace(1e-3, 1, 400):
        for small in (1e-6, 0.5, 1.0):
            g = np.array([1.0, ratio])
            outcomes = paired((1.0, float(ratio)), 1 - p_min, small)
            noises = np.array([value for _, value in outcomes]) - g
            chances = np.array([weight for weight, _ in outcomes])
            sigma2 = float(chances @ np.abs(noises).sum(axis=1) ** 2)
            certified = drift.repaired(p_min, sigma2, workers)
            found = drift_by_enumeration(g, FiniteDistribution(noises, chances), workers)
            most = max(most, (certified.rho * g.sum() ** 2 - found) / certified.delta)
    assert share <= most <= 1


def test_the_drifts_by_hand():
    assert drift.any_noise(2.0, theta=0.5) == (0.75, 2.0)
    assert drift.any_noise(2.0) == (0.5, 1.0)
    assert drift.any_noise(2.0, theta=0.5, workers=2) == (0.75, 2.0)
    assert drift.repaired(0.75, 2.0) == (0.5, 0.5)
    assert drift.any_noise(2.0, theta=0.5, workers=3) == (0.75, pytest.approx(8.0))
    assert drift.any_noise(2.0, theta=0.5, workers=2, ties="coin") == (0.75, 18.0)
    assert drift.repaired(0.75, 2.0, workers=3) == (pytest.approx(2 * 27 / 32 - 1), 0.75)
    assert drift.repaired(0.75, 2.0, workers=2) == (0.5, 0.5)
    assert drift.repaired(0.75, 2.0, workers=2, ties="plus-negative") == (pytest.approx(0.125), 1.0)
    assert drift.independent(0.75, 4) == (0.625, 0.0)
    assert drift.independent(0.6, 1).rho == pytest.approx(1)
    assert drift.symmetric(4) == (0.25, 0.0)
    assert drift.voted(0.75, 3) == (0.6875, 0.0)


@given(seed=SEEDS, theta=st.floats(0.05, 1))
def test_C0_is_better_than_C1_with_its_drift(seed, theta):
    """The floor of C1 from (1 - t/2, sigma^2 / (2 t)) is never below C0's: C1 bounds E N^2 once more."""
    rng = np.random.default_rng(seed)
    L, sigma2 = np.exp(rng.uniform(-2, 2, 2))
    mu, rho, delta = L * rng.uniform(0.01, 1), *drift.any_noise(sigma2, theta=theta)
    alpha = rng.uniform(0.01, 0.99) * rho / L
    late = np.array([10**7])
    same = {"mu": mu, "L": L, "alpha": alpha, "sigma2": sigma2}
    best = bounds.floor_bound(late, 0.0, **same)
    assert best <= bounds.drift_bound(late, 0.0, rho=rho, delta=delta, **same) * (1 + 1e-12)


def test_the_drift_of_independent_coordinates_is_attained():
    """g = (1, 1), each noise 0 or, never, wrong: p = 1 gives ||g||_1^2. And CE-A, dependent, has less than any rho."""
    assert (
        drift_by_enumeration(np.ones(2), FiniteDistribution(np.zeros((1, 2)), np.ones(1)), 1)
        == drift.independent(1.0, 2).rho * 4
    )
    assert drift_by_enumeration(np.array([0.1, 0.01]), CE_A, 1) == pytest.approx(-0.0075)


# What is refused

NAN, INF = math.nan, math.inf
WRONG = {
    "k": [-1, NAN, INF, np.array([[0.0, -2.0]])],
    "t": [-1.0, NAN, INF],
    "gap0": [-1e-9, NAN, INF, np.array([[1.0], [NAN]])],
    "mu": [0.0, -1.0, NAN, INF],
    "L": [0.0, -1.0, NAN, INF],
    "alpha": [0.0, -0.1, 50.0, NAN, INF],
    "p_min": [0.5, 0.2, 1.0001, NAN],
    "p": [-0.1, 1.1, NAN, np.array([0.5, 2.0])],
    "sigma2": [-1.0, NAN, INF],
    "workers": [0, -3, 2.5, NAN, INF],
    "rho": [0.0, -1.0, NAN, INF],
    "delta": [-1.0, NAN, INF],
    "c": [1.0, 0.0, NAN, INF],
    "k0": [0.0, 3.0, NAN, INF],
    "theta": [0.0, 1.5, NAN],
    "d": [0, 1.5, NAN],
    "beta": [0.0, -1.0, NAN, INF],
    "D1": [0.0, NAN, INF],
    "D2": [0.0, NAN, INF],
    "ties": ["plus"],
    "form": ["square"],
}
RIGHT = {
    **{"k": KS, "t": TIMES, "gap0": 1.0, "mu": 0.5, "L": 2.0, "alpha": 0.01, "p_min": 0.9, "p": 0.7, "sigma2": 1.0},
    **{"workers": 3, "rho": 0.8, "delta": 0.1, "c": 3.0, "k0": 1000.0, "theta": 0.5, "d": 3, "beta": 1.0},
    **{"D1": 1.0, "D2": 1.0, "ties": "coin", "form": "cubic"},
}


def public(module):
    return [
        value
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", "") == module.__name__ and name[0] != "_"
    ]


VOTES = [vote_moments.beta_half, vote_moments.vote_advantage, vote_moments.wrong_share]
FUNCTIONS = {each.__name__: each for each in [*public(bounds), *public(drift), *VOTES] if each is not drift.Drift}


def names_of(function):
    return function.__code__.co_varnames[: function.__code__.co_argcount + function.__code__.co_kwonlyargcount]


def test_every_function_is_in_the_tables():
    assert len(FUNCTIONS) == 26
    assert set(WRONG) == set(RIGHT) == {name for function in FUNCTIONS.values() for name in names_of(function)}
    assert set(BOUNDS) - {"cubic"} | set(FLOWS) <= set(FUNCTIONS)


@pytest.mark.parametrize(
    ("function", "name", "value"),
    [
        pytest.param(function, name, value, id=f"{function.__name__}-{name}-{number}")
        for function in FUNCTIONS.values()
        for name in names_of(function)
        for number, value in enumerate(WRONG[name])
    ],
)
def test_what_is_out_of_range_is_refused_by_name(function, name, value):
    """One line that ends with the name and its value; with the right value the same call goes through."""
    given = {each: RIGHT[each] for each in names_of(function)}
    function(**given)
    with pytest.raises(ValueError, match=rf"^[^\n]*\b{name}\b[^\n]* = [^\n]+$"):
        function(**{**given, name: value})


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (
            lambda: bounds.theorem2(KS, 1.0, mu=1, L=2, alpha=0.3, p_min=0.75, sigma2=1),
            "0 < alpha < (2 p_min - 1)/L: alpha = 0.3, (2 p_min - 1)/L = 0.25",
        ),
        (lambda: bounds.theorem1(KS, 1.0, mu=1, L=2, alpha=1.0), "0 < alpha < 2/L: alpha = 1, 2/L = 1"),
        (
            lambda: bounds.theorem3(KS, 1.0, mu=1, L=2, alpha=0.5, p_min=0.75, sigma2=1, workers=3),
            "0 < alpha < (2 I_p_min(kappa, kappa) - 1)/L: alpha = 0.5, (2 I_p_min(kappa, kappa) - 1)/L = 0.34375",
        ),
        (lambda: bounds.zeta(3.0, 2.0, 0.1), "mu <= L: mu = 3, L = 2"),
        (
            lambda: bounds.drift_bound(KS, 1.0, mu=1, L=1, alpha=1.0, rho=2.0, delta=0.0, sigma2=1.0),
            "zeta >= 0: zeta = 1 - 2 mu alpha (rho - L alpha) = -1, rho = 2",
        ),
        (
            lambda: bounds.harmonic_shifted(KS, 1.0, mu=1, L=1, rho=1, sigma2=1, delta=0.1),
            "delta = 0 (form max): delta = 0.1",
        ),
        (
            lambda: bounds.harmonic_shifted(KS, 1.0, mu=1, L=1, rho=1, sigma2=1, c=2.0, form="cubic"),
            "c = 3 (form cubic): c = 2",
        ),
    ],
)
def test_the_condition_is_said(call, complaint):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        call()
    assert str(raised.value) == complaint


def test_equal_curvatures_pass_when_rounded():
    """H = [[3]] gives mu = 1 / (H^-1)_11, an ulp off L at times."""
    conditions.curvatures(np.nextafter(3.0, 4), 3.0)
    for mu in (float(np.nextafter(3.0, 4)), 3.0 * (1 + 5e-13)):
        assert bounds.zeta(mu, 3.0, 1 / 3) == 0
        assert bounds.theorem1(KS, 1.0, mu=mu, L=3.0, alpha=1 / 3).tolist() == [1, 0, 0, 0, 0, 0, 0]
