"""The inequalities behind the corrected theorems and the refutations, proved for all real numbers by z3.

Each is a sum over coordinates, so that d = 1 is enough; higher d are there to show it.
"""

import pytest

z3 = pytest.importorskip("z3", reason="z3-solver is not installed; pip install '.[proofs]'")


def proved(claim):
    solver = z3.Solver()
    solver.set("timeout", 60_000)
    solver.add(z3.Not(claim))
    return solver.check() == z3.unsat


def size(x):
    return z3.If(x >= 0, x, -x)


def sign(x):
    return z3.If(x > 0, z3.RealVal(1), z3.If(x < 0, z3.RealVal(-1), z3.RealVal(0)))


def total(terms):
    return z3.Sum([*terms, z3.RealVal(0)])


def drawn(d, workers):
    """g and the workers' gradients, real and free, with the vote, the mean norm and the mean error."""
    g = z3.Reals(" ".join(f"g{i}" for i in range(d)))
    rows = [z3.Reals(" ".join(f"h{m}_{i}" for i in range(d))) for m in range(workers)]
    vote = [sign(total(sign(row[i]) for row in rows)) for i in range(d)]
    mean = total(size(h) for row in rows for h in row) / workers
    error = total(size(row[i] - g[i]) for row in rows for i in range(d)) / workers
    return g, vote, mean, error


@pytest.mark.parametrize("d", [1, 2, 3])
def test_one_worker(d):
    """C0: g's >= N - xi. R1: N <= G + xi - (G - g's), where sign(0) = 0."""
    g, vote, norm, error = drawn(d, 1)
    product, whole = total(a * s for a, s in zip(g, vote, strict=True)), total(map(size, g))
    assert proved(product >= norm - error)
    assert proved(norm <= whole + error - (whole - product))


@pytest.mark.parametrize(("d", "workers"), [(1, 2), (2, 2), (1, 3)])
def test_several_workers(d, workers):
    """R3: g'v >= M_k - c mean xi, c = 2/phi - 1. R2: M_k <= G + mean xi - phi (G - g'v)."""
    g, vote, mean, error = drawn(d, workers)
    product, whole = total(a * s for a, s in zip(g, vote, strict=True)), total(map(size, g))
    phi = z3.Q(workers // 2 + 1, workers)
    assert proved(product >= mean - (2 / phi - 1) * error)
    assert proved(mean <= whole + error - phi * (whole - product))


@pytest.mark.parametrize("workers", [2, 3])
def test_no_smaller_constants_do(workers):
    g, vote, mean, error = drawn(1, workers)
    product, whole, phi = g[0] * vote[0], size(g[0]), z3.Q(workers // 2 + 1, workers)
    assert not proved(product >= mean - z3.Q(99, 100) * (2 / phi - 1) * error)
    assert not proved(mean <= whole + error - z3.Q(101, 100) * phi * (whole - product))


def test_a_tie_that_becomes_wrong():
    """Two workers: with any vote where they disagree, 3 and 1/2."""
    g, vote, mean, error = drawn(1, 2)
    v = z3.Real("v")
    tossed = z3.And(z3.Or(v == 1, v == -1), z3.Implies(vote[0] != 0, v == vote[0]))
    assert proved(z3.Implies(tossed, g[0] * v >= mean - 3 * error))
    assert proved(z3.Implies(tossed, mean <= size(g[0]) + error - (size(g[0]) - g[0] * v) / 2))
    assert not proved(z3.Implies(tossed, g[0] * v >= mean - z3.Q(29, 10) * error))


@pytest.mark.parametrize(("q", "v", "b"), [((1, 5), (2, 5), 1), ((2, 5), (1, 5), 1), ((3, 20), (3, 10), 1)])
def test_the_drift_of_ce_a(q, v, b):
    """E[N s_1] <= x_1 - qB + 2qB 1[x_1 >= v] + |x_2| for every x in the plane: CE-A stays away from its minimum."""
    q, v = z3.Q(*q), z3.Q(*v)
    x, y = z3.Reals("x y")
    values = [(q / 2, x - v, y + b), (q / 2, x - v, y - b), (q, x + v, y), (1 - 2 * q, x, y)]
    drift = total(w * (size(a) + size(c)) * sign(a) for w, a, c in values)
    assert proved(drift <= x - q * b + z3.If(x >= v, 2 * q * b, z3.RealVal(0)) + size(y))


@pytest.mark.parametrize(("e", "h", "alpha"), [((1, 5), (1, 10**6), (1, 200)), ((3, 20), (1, 10), (1, 10))])
def test_the_paths_of_x3(e, h, alpha):
    """For all x > 0: unbiased, x' > 0, (1 - 2 alpha h) S <= S' <= S, f >= S^2/4, and E xi^2 <= kappa S^2."""
    e, h, alpha = z3.Q(*e), z3.Q(*h), z3.Q(*alpha)
    x, y = z3.Reals("x y")
    m, whole = z3.If(x <= y, x, y), x + y
    large = [(a + e * h * m - (1 - 2 * e) * h * m) / e for a in (x, y)]
    values = [(e, large[0], -h * m), (e, -h * m, large[1]), (1 - 2 * e, h * m, h * m)]
    positive = z3.And(x > 0, y > 0)
    assert proved(z3.And(*(total(w * value[i] for w, *value in values) == (x, y)[i] for i in range(2))))
    for _, a, c in values:
        norm = size(a) + size(c)
        moved = x - alpha * norm * sign(a), y - alpha * norm * sign(c)
        after = moved[0] + moved[1]
        stays = z3.And(moved[0] > 0, moved[1] > 0, after <= whole, after >= (1 - 2 * alpha * h) * whole)
        assert proved(z3.Implies(positive, stays))
    assert proved(x * x / 2 + y * y / 2 >= whole * whole / 4)
    spread = total(w * (size(a - x) + size(c - y)) ** 2 for w, a, c in values)
    half = h / 2
    kappa = e * (((1 - e) / e + half) ** 2 + (1 + half) ** 2) + 1 - 2 * e
    assert proved(z3.Implies(positive, spread <= kappa * whole * whole))
