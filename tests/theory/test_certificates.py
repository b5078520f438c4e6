"""Exact certificates: the refutations X1 to X5 as fractions, and E V_k against a plain enumeration."""

import re
from fractions import Fraction as F
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpisign.theory import bounds as in_floats
from mpisign.theory import noise as noise_in_floats
from mpisign.theory import polyak_lojasiewicz, smoothness
from mpisign.theory.certificates import bounds, laws, paths, quadratics, votes
from mpisign.theory.certificates.expectation import Process, TooManyStates, moments

HALF = F(1, 2)


def reached(process, k, most=10**6):
    return next(moment for moment in moments(process, most) if moment.k == k)


# X1 to X5


def x1():
    quarter = tuple((F(1, 4), F(1, 4)) for _ in range(2))
    return Process(quarter, (F(1), F(1)), lambda g: laws.paired(g, F(3, 20), F(1, 500)), lambda k: F(1, 50))


def test_x1():
    found = reached(x1(), 5)
    known = bounds.Constants(HALF, F(1), F(1), found.noise.p_min, found.noise.sigma2, 1)
    assert quadratics.curvature(x1().matrix) == (1, 1)
    assert found.noise == (F(30189037, 7500000), F(17, 20), F(17, 20))
    assert bounds.constant_step(5, known, F(1, 50), F(0)) == F(308038339586427377, 622558593750000000)
    assert found.gap == HALF * (F(3, 10) + F(7, 10) * (1 - F(2, 50_000)) ** 2) ** 5
    assert found.gap > bounds.constant_step(5, known, F(1, 50), F(0))
    assert reached(x1(), 4).gap < bounds.constant_step(4, known, F(1, 50), F(0))


def test_x2():
    q, v, alpha = F(3, 43), F(4, 21), F(1, 66)
    atoms, weights = ((-v, F(1)), (-v, F(-1)), (v, F(0)), (F(0), F(0))), (q / 2, q / 2, q, 1 - 2 * q)
    line = quadratics.diagonal((F(1), F(0)))
    process = Process(line, (F(3, 19), F(0)), lambda g: laws.finite_sum(g, atoms, weights), lambda k: alpha)
    ratios = {}
    for moment in moments(process, 10**6):
        if moment.k:
            known = bounds.Constants(F(9, 722), F(1), F(1), moment.noise.p_min, moment.noise.sigma2, 1)
            ratios[moment.k] = moment.gap / bounds.constant_step(moment.k, known, alpha, F(0))
        if moment.k == 9:  # the tenth would take as long as these
            break
    assert (known.p_min, known.sigma2) == (F(40, 43), F(641, 6321))
    assert [k for k, ratio in ratios.items() if ratio > 1] == [9]
    assert (float(ratios[8]), float(ratios[9])) == (pytest.approx(0.9957, abs=5e-5), pytest.approx(1.0041, abs=5e-5))


def test_x3_on_every_path_and_its_mean():
    e, h, alpha = F(1, 5), F(1, 10**6), F(1, 200)
    found = paths.paired_on_every_path(e, h, alpha, (F(1), F(1)), 100)
    assert found.k == 25
    assert paths.paired_on_every_path(e, h, alpha, (F(1), F(1)), 24) is None
    identity = quadratics.diagonal((F(1), F(1)))
    process = Process(identity, (F(1), F(1)), lambda g: laws.paired(g, e, h), lambda k: alpha)
    for moment in moments(process, 10**6):
        assert moment.gap >= (1 - 2 * alpha * h) ** (2 * moment.k)
        assert moment.noise is None or moment.noise.sigma2 <= found.constants.sigma2
        if moment.k == 6:
            break


def test_x4():
    one = Process(quadratics.diagonal((F(1),)), (F(1),), laws.exact, lambda k: F(3, k + 1))
    known = bounds.Constants(HALF, F(1), F(1), F(1), F(0), 1)
    assert reached(one, 1).gap == 4 * HALF > bounds.harmonic_step(1, known) == HALF / 8
    late = paths.paired_harmonic(F(3, 20), F(2, 10**6), 10**4)
    assert late.k == 4742
    assert paths.paired_harmonic(F(3, 20), F(2, 10**6), 4741) is None


@pytest.mark.parametrize(
    ("workers", "e", "b", "limit", "alpha", "k"),
    [
        (1, F(9, 100), F(56, 5), F(9, 5), F(1, 10**4), 101),
        (2, F(1, 3), F(18), F(21, 10), F(1, 10**5), 1466),
        (3, F(21, 50), F(18), F(21, 10), F(1, 10**5), 2022),
    ],
)
def test_x5(workers, e, b, limit, alpha, k):
    found = paths.sideways_recursion(workers, e, F(1, 10**6), b, limit, alpha, 5000)
    assert (found.k, found.constants.p_min) == (k, 1 - e)
    assert paths.sideways_recursion(workers, e, F(1, 10**6), b, limit, alpha, k - 1) is None


def test_the_recursion_of_x5_stays_below_the_mean():
    """Its first steps beside an enumeration, where x_1 has not reached the limit."""
    e, h, b, alpha = F(21, 50), F(1, 10**6), F(18), F(1, 10**5)
    line = quadratics.diagonal((F(1), F(0)))
    law = lambda g: laws.sideways(g, e, h, b, F(21, 10))  # noqa: E731
    process = Process(line, (F(1), F(0)), law, lambda k: alpha, workers=3)
    outcomes = votes.round_law(laws.sideways((F(1), F(0)), e, h, b), 3)
    drift = -sum(w * norm * vote[0] for (vote, norm), w in outcomes.items()) / 3
    assert reached(process, 1).gap >= ((1 + alpha * drift) ** 2) / 2


# Against a plain enumeration

numbers = st.fractions(-2, 2, max_denominator=12)
chances = st.fractions(F(1, 20), F(9, 20), max_denominator=20)


def plainly(x, atoms, weights, eigenvalues, alpha, workers, steps, zeros, decoupled):
    """E V_k by every combination of every worker's draws, without merging anything."""
    if not steps:
        return sum(a * b * b for a, b in zip(eigenvalues, x, strict=True)) / 2
    g = [a * b for a, b in zip(eigenvalues, x, strict=True)]
    draws = list(zip(atoms, weights, strict=True))
    total = F(0)
    for each in product(draws, repeat=workers * (2 if decoupled else 1)):
        weight = F(1)
        for _, w in each:
            weight *= w
        values = [[a + b for a, b in zip(g, atom, strict=True)] for atom, _ in each]
        first, second = values[:workers], values[-workers:]
        dead = [not any(a) or not any(b) for a, b in zip(first, second, strict=True)]
        norm = sum(sum(map(abs, b)) for b, d in zip(second, dead, strict=True) if not d) / workers
        rows = [[0 if d else (v > 0) - (v < 0) for v in a] for a, d in zip(first, dead, strict=True)]
        for vote, share in settled(rows, zeros):
            moved = [a - alpha * norm * s for a, s in zip(x, vote, strict=True)]
            rest = (atoms, weights, eigenvalues, alpha, workers, steps - 1, zeros, decoupled)
            total += weight * share * plainly(moved, *rest)
    return total


def settled(rows, zeros):
    """The votes of the rows with their probabilities, every coin tossed one by one."""
    coins = [(w, i) for w, row in enumerate(rows) for i, s in enumerate(row) if not s and zeros == "coin"]
    for tosses in product((-1, 1), repeat=len(coins)):
        own = [[s or (1 if zeros == "plus" else 0) for s in row] for row in rows]
        for (w, i), toss in zip(coins, tosses, strict=True):
            own[w][i] = toss
        sums = [sum(column) for column in zip(*own, strict=True)]
        ties = [i for i, s in enumerate(sums) if not s and zeros == "coin"]
        for more in product((-1, 1), repeat=len(ties)):
            vote = [(s > 0) - (s < 0) or (1 if zeros == "plus" else 0) for s in sums]
            for i, toss in zip(ties, more, strict=True):
                vote[i] = toss
            yield vote, F(1, 2 ** (len(coins) + len(ties)))


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("zeros", ["exact", "coin", "plus"])
@pytest.mark.parametrize(("workers", "steps"), [(1, 2), (2, 1), (3, 1)])
@given(data=st.data())
def test_the_mean_gap_is_that_of_a_plain_enumeration(workers, steps, zeros, decoupled, data):
    x, atom = (data.draw(st.tuples(numbers, numbers)) for _ in range(2))
    chance, alpha = data.draw(chances), data.draw(st.fractions(F(1, 50), F(1, 3), max_denominator=50))
    eigenvalues = data.draw(st.sampled_from([(F(1), F(2)), (F(1, 3), F(0)), (F(1), F(1))]))
    if decoupled and workers == 3:
        atoms, weights = ((F(0), F(0)),), (F(1),)
    else:
        opposite = tuple(-chance / (1 - chance) * value for value in atom)
        atoms, weights = (atom, opposite), (chance, 1 - chance)
    process = Process(
        quadratics.diagonal(eigenvalues),
        x,
        lambda g: laws.finite_sum(g, atoms, weights),
        lambda k: alpha,
        workers,
        zeros,
        decoupled,
    )
    expected = plainly(x, atoms, weights, eigenvalues, alpha, workers, steps, zeros, decoupled)
    assert reached(process, steps).gap == expected


def test_too_many_states_are_said_with_their_k():
    process = x1()._replace(step_size=lambda k: F(1, 50 + k))
    with pytest.raises(TooManyStates) as error:
        reached(process, 10, most=10)
    assert error.value.k == 4  # 2^k states, as each small step has its own factor


# The parts


@given(x=st.tuples(numbers, numbers, numbers), e=st.fractions(F(1, 30), F(1, 3), max_denominator=60), h=chances)
def test_every_law_is_unbiased_and_adds_up_to_one(x, e, h):
    for outcomes in (laws.paired(x, e, h), laws.sideways(x, e, h, F(3)), laws.three_point(x, F(2), h), laws.exact(x)):
        assert sum(weight for weight, _ in outcomes) == 1
        assert tuple(sum(w * value[i] for w, value in outcomes) for i in range(3)) == x
    if all(x):
        assert laws.right_signs(x, laws.paired(x, e, h)) == [1 - 2 * e] * 3


@given(q=chances, size=st.fractions(F(1, 9), 3, max_denominator=9), d=st.integers(1, 3))
def test_three_points_have_the_variance_of_the_floats(q, size, d):
    known = noise_in_floats.additive("three-point", float(size), float(q), d)
    g = (F(1),) * d
    assert float(laws.variance(g, laws.three_point(g, size, q))) == pytest.approx(known.sigma2.value, rel=1e-12)


@given(rows=st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3), min_size=3, max_size=3))
def test_constants_of_a_definite_matrix_are_those_of_the_floats(rows):
    a = np.array(rows)
    matrix = a @ a.T + np.eye(3, dtype=int)
    found = quadratics.curvature(tuple(tuple(F(int(value)) for value in row) for row in matrix))
    assert float(found.L) == smoothness.smoothness(matrix.astype(float))["L"].value
    assert float(found.mu) == pytest.approx(polyak_lojasiewicz.pl_constant(matrix.astype(float)).value, rel=1e-9)


@given(row=st.lists(st.integers(-3, 3), min_size=2, max_size=4).filter(any))
def test_constants_of_a_matrix_of_rank_one(row):
    matrix = tuple(tuple(F(a * b) for b in row) for a in row)
    assert (
        quadratics.curvature(matrix)
        == (sum(map(abs, row)) ** 2 if sum(map(bool, row)) > 1 else max(map(abs, row)) ** 2,) * 2
    )


def test_a_singular_matrix_of_higher_rank_has_no_mu_in_fractions():
    rows = ((1, 1, 0), (1, 1, 0), (0, 0, 1))
    assert quadratics.curvature(tuple(tuple(map(F, row)) for row in rows)).mu is None


@given(
    p=st.fractions(F(11, 20), 1, max_denominator=40),
    workers=st.integers(1, 5),
    k=st.integers(1, 60),
    mu=st.fractions(F(1, 10), 1, max_denominator=10),
    sigma2=st.fractions(0, 5, max_denominator=10),
    share=st.fractions(F(1, 10), F(9, 10), max_denominator=10),
)
def test_bounds_in_fractions_are_those_in_floats(p, workers, k, mu, sigma2, share):
    L, gap0, ks = F(1), F(3, 7), np.array([k])
    known = bounds.Constants(gap0, mu, L, p, sigma2, workers)
    alpha = share * bounds.advantage(p, workers) / L
    floats = {"mu": float(mu), "L": 1.0, "p_min": float(p), "sigma2": float(sigma2), "workers": workers}
    step = floats | {"alpha": float(alpha)}
    delta = bounds.repair(known)
    k0 = max(6 * L / (mu * bounds.advantage(p, workers) ** 2), F(3)) + 1
    pairs = [
        (bounds.constant_step(k, known, alpha, F(0)), in_floats.theorem3(ks, 3 / 7, **step)),
        (bounds.constant_step(k, known, alpha, delta), in_floats.theorem3_repaired(ks, 3 / 7, **step)),
        (bounds.harmonic_step(k, known), in_floats.theorem2_harmonic(ks, 3 / 7, **floats)),
        (
            bounds.harmonic_repaired(k, known, k0),
            in_floats.theorem2_harmonic_repaired(ks, 3 / 7, k0=float(k0), **floats),
        ),
        (
            bounds.floor(k, known, alpha),
            in_floats.floor_bound(ks, 3 / 7, **{key: step[key] for key in ("mu", "L", "sigma2", "workers", "alpha")}),
        ),
    ]
    for exact, found in pairs:
        assert found[0] == pytest.approx(float(exact), rel=1e-11, abs=1e-300)


@pytest.mark.parametrize(
    ("refused", "condition"),
    [
        (lambda: bounds.constant_step(1, known(p_min=HALF), F(1, 9), F(0)), "p_min > 1/2: p_min = 1/2"),
        (
            lambda: bounds.constant_step(1, known(), F(9), F(0)),
            "0 < alpha < (2 I_p_min(kappa, kappa) - 1)/L: alpha = 9",
        ),
        (lambda: bounds.floor(1, known(), F(3)), "0 < alpha < 2/L: alpha = 3"),
        (lambda: bounds.harmonic_repaired(1, known(), F(2)), "k0 >= max{6 L/(mu A^2), 3}: k0 = 2"),
        (lambda: paths.paired_on_every_path(F(1, 3), F(1), F(1, 9), (F(1), F(1)), 9), "0 < e < 1/4: e = 1/3"),
        (lambda: paths.paired_harmonic(F(1, 5), F(1, 2), 9), "0 < h and 3 h/(1 - 2 e) <= 1: h = 1/2"),
        (lambda: paths.sideways_recursion(1, F(1, 9), F(1), F(1, 99), F(1), F(1, 9), 9), "the vote drifts away from 0"),
    ],
)
def test_what_is_out_of_range_is_refused_by_name(refused, condition):
    with pytest.raises(ValueError, match="^" + re.escape(condition)):
        refused()


def known(p_min=F(9, 10)):
    return bounds.Constants(HALF, F(1), F(1), p_min, F(1), 1)
