"""How sharp the repaired theorems are: formulas against linear programs, and examples in fractions."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from mpisign.theory import drift
from mpisign.theory.certificates.bounds import advantage
from mpisign.theory.certificates.laws import right_signs, sign, variance
from mpisign.theory.extremal import sharpness
from mpisign.theory.vote_moments import wrong_share

PROBABILITIES = [0.52, 0.6, 0.7, 0.72, 0.8, 0.809, 0.81, 0.9, 0.95, 0.99]
FRACTIONS = st.fractions(0, 1, max_denominator=60)


def repaired_floor(p_min, workers):
    """The least of R1 or R2 with the best lambda, and C0: (A - l, e/(4 phi e + l)) over l, on a grid."""
    rho, delta = drift.repaired(p_min, 1.0, workers)
    phi, e = wrong_share(workers), (1 - rho) / 2
    lambdas = np.linspace(0, rho, 2000, endpoint=False)
    plain = float(drift.any_noise(1.0, workers=workers).delta / (2 * drift.any_noise(1.0).rho))
    assert delta == 1 / (4 * phi)
    return min(plain, float((e / (4 * phi * e + lambdas) / (2 * (rho - lambdas))).min()))


@given(W=FRACTIONS, N=st.fractions(0, 20, max_denominator=60), s=st.fractions(4, 50), z=st.fractions(-3, 3))
def test_the_identity_of_the_proof(W, N, s, z):
    """It is all that the proof of R4 needs beside |N - G + 2 G W| <= xi; in fractions, so that = is =."""
    bound = 2 * (s * W - z) * N - (s - 2 * z) * (s - 2) * W + z * (2 - z)
    rest = (N - 1 + 2 * W - s * W + z) ** 2 + s * (s - 4) * W * (1 - W)
    assert bound + rest == (N - 1 + 2 * W) ** 2
    assert rest >= 0


@pytest.mark.parametrize("p_min", PROBABILITIES)
def test_one_worker_in_closed_form(p_min):
    e = 1 - p_min
    found = drift.sharp(p_min, 1.0)
    if p_min <= 0.809:  # (1 + sqrt 5) / 4 = 0.80902
        assert found == (pytest.approx(p_min**2), 0.25)
        assert sharpness.floor(p_min) == pytest.approx(1 / (8 * p_min**2))
    else:
        assert sharpness.floor(p_min) == pytest.approx(2 * e * p_min / (1 + 4 * e * p_min))


def test_where_the_two_forms_meet():
    golden = (1 + 5**0.5) / 4
    assert sharpness.floor(golden - 1e-9) == pytest.approx(sharpness.floor(golden + 1e-9), rel=1e-7)
    assert drift.sharp(golden - 1e-9, 1.0).delta == 0.25 > drift.sharp(golden + 1e-3, 1.0).delta


@pytest.mark.parametrize("workers", range(1, 8))
@pytest.mark.parametrize("p_min", PROBABILITIES)
def test_the_floor_is_that_of_two_atoms_or_nothing(p_min, workers):
    """1 / (2 S) at the best share, found here by trying; nothing where the vote is right despite a wrong worker."""
    p = Fraction(str(p_min))
    others = [*product((1, -1), repeat=workers - 1)]
    right, wrong = (sum(_chance(signs, p) * sign(sum(signs) + own) for signs in others) for own in (1, -1))
    assert p * right + (1 - p) * wrong == advantage(p, workers)
    if wrong >= 0:
        assert drift.sharp(p_min, 1.0, workers) == (pytest.approx(float(wrong)), 0.0)
        return
    turning = float(right / (right - wrong))
    assert sharpness.turning_share(p_min, workers) == pytest.approx(turning)
    shares = np.linspace(turning, 1, 4001)
    best = min(sharpness.two_atoms(p_min, share, turning).variance for share in shares)
    assert sharpness.floor(p_min, workers) == pytest.approx(1 / (2 * best), rel=1e-5)


def _chance(signs, p):
    return p ** signs.count(1) * (1 - p) ** signs.count(-1)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("p_min", [0.55, 0.6, 0.7, 0.8, 0.9, 0.95])
def test_example_then_linear_program_then_formula_then_repaired(p_min, workers):
    """Each is at most the next, and with 10 coordinates the program has all but a tenth of what there is."""
    for d in (2, 3, 10):
        found = sharpness.linear_program(p_min, d, workers)
        assert sharpness.example_floor(p_min, d, workers) <= found.low * (1 + 1e-5)
        assert found.low <= found.high * (1 + 1e-9)
        assert found.high <= sharpness.floor(p_min, workers) * (1 + 1e-5)
        assert found.high - found.low <= 1e-5 * found.high
    assert sharpness.floor(p_min, workers) <= repaired_floor(p_min, workers) * (1 + 1e-9)
    if workers == 1 or p_min < 0.65:
        assert found.low > 0.9 * sharpness.floor(p_min, workers) > 0


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_more_is_certain_less_is_left(workers):
    floors = [sharpness.floor(p_min, workers) for p_min in np.linspace(0.5001, 1, 200)]
    assert (np.diff(floors) <= 1e-12).all()
    assert floors[0] == pytest.approx(0.5, rel=1e-2)  # as C0 has it for one worker
    assert floors[-1] == 0
    programs = [sharpness.linear_program(p_min, 6, workers).low for p_min in (0.55, 0.65, 0.75, 0.85, 0.95)]
    assert (np.diff(programs) <= 1e-7).all()


@pytest.mark.parametrize(
    ("p_min", "bound", "example"),
    [(0.95, 0.0826, 0.0798), (0.9, 0.1389, 0.1324), (0.8, 0.2083, 0.1951), (0.7, 0.3125, 0.2419)],
)
def test_what_was_known_before(p_min, bound, example):
    """R1 with its lambda, and the better of two laws by hand: one wrong everywhere, one wrong in half of ||g||_1."""
    e = 1 - p_min
    assert repaired_floor(p_min, 1) == pytest.approx(bound, abs=6e-5)
    by_hand = max(0.5 / (1 + 1 / (4 * e * p_min)), 0.5 / (1 / (2 * e) + 1 - 2 * e))
    assert by_hand == pytest.approx(example, abs=6e-5)
    assert by_hand - 1e-12 <= sharpness.floor(p_min) <= bound + 6e-5
    assert sharpness.example_floor(p_min, 2) == pytest.approx(0.5 / (1 / (2 * e) + 1 - 2 * e))


def grid_program(p_min, points):
    """The same in the plane by another program: g = (1/2, 1/2), g~ on a grid of the plane, M = 1; E xi^2 at D <= 0."""
    one, two = (each.ravel() for each in np.meshgrid(points, points))
    signs = np.sign(one), np.sign(two)
    norms = np.abs(one) + np.abs(two)
    rows = [norms * (signs[0] + signs[1]) / 2, -1.0 * (signs[0] > 0), -1.0 * (signs[1] > 0)]
    found = linprog(
        (np.abs(one - 0.5) + np.abs(two - 0.5)) ** 2,
        A_ub=np.array(rows),
        b_ub=[0, -p_min, -p_min],
        A_eq=np.array([np.ones(len(one)), one, two]),
        b_eq=[1, 0.5, 0.5],
    )
    return 1 / (2 * found.fun)


@pytest.mark.parametrize("p_min", [0.9, 0.75, 0.6])
def test_a_program_over_the_plane_agrees(p_min):
    tiny = 1e-4
    points = np.concatenate([-np.linspace(tiny, 2, 12), np.linspace(tiny, 6, 61), [0.5 / (1 - p_min)]])
    found, limit = grid_program(p_min, points), sharpness.linear_program(p_min, 2).high
    assert 0.99 * limit <= found <= limit * (1 + 1e-6)


LAWS = [  # p_min, w, W_0 = e + A / (2 T), M
    (Fraction(7, 10), Fraction(2, 3), Fraction(1, 2), 1),
    (Fraction(9, 10), Fraction(7, 8), Fraction(1, 2), 1),
    (Fraction(4, 5), Fraction(1, 2), Fraction(1, 2), 1),
    (Fraction(3, 5), Fraction(3, 4), Fraction(3, 5), 2),
    (Fraction(3, 5), Fraction(4, 5), Fraction(17, 24), 3),
]


@pytest.mark.parametrize(("p_min", "share", "turning", "workers"), LAWS)
def test_an_example_has_the_constants_it_claims(p_min, share, turning, workers):
    """In fractions: unbiased and p_min exactly; E xi^2 and the drift, by every choice of every worker, up to h."""
    assert float(turning) == pytest.approx(sharpness.turning_share(float(p_min), workers))
    h, d = Fraction(1, 10**9), share.denominator
    law, claimed = sharpness.example(p_min, share, turning, h), sharpness.two_atoms(p_min, share, turning)
    gradient = (Fraction(1, d),) * d
    assert sum(each.weight for each in law) == 1
    assert [sum(each.weight * each.gradient[i] for each in law) for i in range(d)] == list(gradient)
    assert right_signs(gradient, law) == [p_min] * d
    assert abs(variance(gradient, law) - claimed.variance) < 100 * h
    assert abs(drift_in_fractions(law, workers)) < 100 * h
    # Var W = A / (4 T) where s = 4 is best, and E W = e always
    assert claimed.chance * share == 1 - p_min


def drift_in_fractions(law, workers):
    """E[M_k g'v] over every choice of an outcome by every worker."""
    total = Fraction(0)
    for choice in product(law, repeat=workers):
        weight, d = Fraction(1), len(law[0].gradient)
        for each in choice:
            weight *= each.weight
        norm = sum(sum(map(abs, each.gradient)) for each in choice) / workers
        vote = sum(sign(sum(sign(each.gradient[i]) for each in choice)) for i in range(d))
        total += weight * norm * Fraction(vote, d)
    return total


@given(p_min=st.floats(0.501, 1), workers=st.integers(1, 6))
@settings(max_examples=50)
def test_sharp_is_never_worse_than_repaired(p_min, workers):
    """With s = 4 both its numbers are at least as good; the sharp one has the least floor."""
    found, before = drift.sharp(p_min, 1.0, workers), drift.repaired(p_min, 1.0, workers)
    assert found.rho > 0
    assert found.delta / found.rho <= before.delta / before.rho * (1 + 1e-12)
    assert found.delta <= before.delta * (1 + 1e-12)


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"W_0 <= share <= 1: share = 0\.4, W_0 = 0\.5"):
        sharpness.two_atoms(0.8, 0.4, 0.5)
    with pytest.raises(ValueError, match="d is a positive integer"):
        sharpness.linear_program(0.8, 0)
    assert sharpness.linear_program(1.0, 4) == (0, 0)
    assert sharpness.example_floor(0.8, 2, 3) == 0
