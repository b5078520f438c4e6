"""Every method's first iterates on f = (1/2)(x_1^2 + 4 x_2^2), worked by hand, and the identities of Remark 2."""

import math

import numpy as np
import pytest

import alone
from mpisign.algorithms.methods import METHODS

LAMBDA = np.array([1.0, 4.0])


def iterates(tmp_path, method, workers=1, alpha=0.125, start=(3.0, -1.0), iterations=5, problem=None, **settings):
    """x_0, ..., x_K of one repeat, and the columns."""
    problem = problem or f"{{ kind = 'separable', eigenvalues = {LAMBDA.tolist()} }}"
    extra = "\n".join(f"{key} = {value!r}" for key, value in settings.items())
    job = f"""
iterations = {iterations}
problem = {problem}
start = {{ kind = 'point', x = {list(start)} }}
log = {{ every = 1, iterates = true }}
[[runs]]
method = '{method}'
workers = {workers}
step = {{ kind = 'constant', alpha = {alpha!r} }}
{extra}
"""
    return alone.iterates(tmp_path, job)


# alpha = 1/8, x_0 = (3, -1), beta = 1/2, g = (x_1, 4 x_2). Dyadic fractions are exact in float64.
BY_HAND = {
    "gd": [(3, -1), (21 / 8, -1 / 2), (147 / 64, -1 / 4), (1029 / 512, -1 / 8), (7203 / 4096, -1 / 16)],
    "sign": [(3, -1), (23 / 8, -7 / 8), (22 / 8, -6 / 8), (21 / 8, -5 / 8), (20 / 8, -4 / 8)],
    # norms 7, 21/8, 167/64, 1005/512, 7875/4096: the steps are an eighth of them.
    "scaled-sign": [
        (3, -1),
        (17 / 8, -1 / 8),
        (115 / 64, 13 / 64),
        (753 / 512, -63 / 512),
        (5019 / 4096, 501 / 4096),
    ],
    # m = (1.5, -2), then halves of m and g added: (2.1875, -2.75), ...: the signs stay + and -.
    "signum": [(3, -1), (23 / 8, -7 / 8), (22 / 8, -6 / 8), (21 / 8, -5 / 8), (20 / 8, -4 / 8)],
    # p = g/8 + e = (3, -4)/8, (33, -44)/128, (491, -356)/2048, (9497, 180)/32768; the scale is half its norm, and
    # e = p - scale sign p = -(1, 1)/16, -(11, 11)/256, (135, 135)/4096.
    "ef-sign": [
        (3, -1),
        (41 / 16, -9 / 16),
        (579 / 256, -67 / 256),
        (8417 / 4096, -225 / 4096),
        (124995 / 65536, -13277 / 65536),
    ],
}


@pytest.mark.parametrize("method", BY_HAND)
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_first_iterates_by_hand(method, workers, tmp_path):
    """With the exact gradient every worker sends the same, so that any M gives the same iterates."""
    settings = {"beta": 0.5} if method == "signum" else {}
    x, _ = iterates(tmp_path, method, workers, iterations=4, **settings)
    assert x.tolist() == [list(map(float, point)) for point in BY_HAND[method]]


def adagrad(rule, alpha=0.125, iterations=4):
    """b^2 grows by `rule`'s squares; x steps along `rule`'s direction over b."""
    x, b2, path = np.array([3.0, -1.0]), 0.0, []
    for _ in range(iterations + 1):
        path.append(x)
        g = LAMBDA * x
        squares, direction = rule(g)
        b2 += squares
        x = x - alpha / math.sqrt(b2) * direction
    return np.array(path)


ADAGRAD = {
    "adagrad-norm": lambda g: (g[0] ** 2 + g[1] ** 2, g),  # b_1 = 5: x_1 = (3 - 3/40, -1 + 1/10)
    "sign-adagrad-norm": lambda g: (g[0] ** 2 + g[1] ** 2, np.sign(g)),  # x_1 = (3 - 1/40, -1 + 1/40)
    "sign-adagrad-count": lambda g: (2.0, np.sign(g)),  # b_k = sqrt(2 k)
}


@pytest.mark.parametrize("method", ADAGRAD)
@pytest.mark.parametrize("workers", [1, 3])
def test_first_iterates_of_the_adagrad_family(method, workers, tmp_path):
    x, _ = iterates(tmp_path, method, workers, iterations=4)
    assert x == pytest.approx(adagrad(ADAGRAD[method]), rel=1e-15)
    first = {"adagrad-norm": (2.925, -0.9), "sign-adagrad-norm": (2.975, -0.975)}
    assert x[1] == pytest.approx(np.array(first.get(method, (3 - 0.125 / 2**0.5, -1 + 0.125 / 2**0.5))), rel=1e-15)


def test_every_method_is_worked_by_hand():
    assert {*BY_HAND, *ADAGRAD, "ef-sign-shifted"} == set(METHODS)


def test_ef_sign_shifted_is_gd_seen_from_x_minus_e(tmp_path):
    """(13): z_k = x_k - e_k moves as GD does, to 1e-12 (Remark 2)."""
    x, _ = iterates(tmp_path, "ef-sign-shifted", iterations=200)
    gd, _ = iterates(tmp_path, "gd", iterations=200)
    error = np.zeros(2)
    for k in range(200):
        z = x[k] - error
        assert z == pytest.approx(gd[k], abs=1e-12)
        p = 0.125 * LAMBDA * z + error
        error = p - np.abs(p).mean() * np.sign(p)
    assert x[:2].tolist() == [list(map(float, point)) for point in BY_HAND["ef-sign"][:2]]
    assert abs(x[2] - iterates(tmp_path, "ef-sign", iterations=2)[0][2]).max() > 1e-3


@pytest.mark.parametrize("start", [0.3, 2.0, -17.0])
def test_in_one_dimension_three_methods_are_one_iteration(start, tmp_path):
    """Example 4: GD, scaled SIGNGD and EF-SIGNGD agree bit for bit where d = 1 (docs/audit/corrections.md)."""
    paths = [
        iterates(tmp_path, method, alpha=0.05, start=[start], iterations=60, problem="{ kind = 'toy' }")[0].tobytes()
        for method in ("gd", "scaled-sign", "ef-sign", "ef-sign-shifted")
    ]
    assert len(set(paths)) == 1


@pytest.mark.parametrize("method", ADAGRAD)
def test_b0_is_where_b_starts(method, tmp_path):
    """From x_0 = (3, -1), g = (3, -4): b_1^2 = 4^2 + what the method adds."""
    x, _ = iterates(tmp_path, method, iterations=1, b0=4.0)
    squares, direction = ADAGRAD[method](np.array([3.0, -4.0]))
    assert x[1] == pytest.approx([3, -1] - 0.125 / (16 + squares) ** 0.5 * direction, rel=1e-15)


def test_the_scale_of_signum_is_the_norm_of_its_momentum(tmp_path):
    """m_1 = (1 - beta) g; the step does not use it, the file has it. ||g||_1 = 7 at x_0."""
    _, columns = iterates(tmp_path, "signum", iterations=1, beta=0.75)
    assert columns["scale"][0] == 0.25 * 7


@pytest.mark.parametrize("method", ADAGRAD)
def test_adagrad_at_the_minimum_stays(method, tmp_path):
    """b = 0 and g = 0: 0/0 as printed; x stays where it is."""
    x, columns = iterates(tmp_path, method, start=(0.0, 0.0), iterations=3)
    assert (x == 0).all()
    assert (columns["value"] == 0).all()


def test_sign_adagrad_counts_only_what_moves(tmp_path):
    """||sign(g)||^2 is the number of coordinates with a gradient: one of two here, so that b_k = sqrt(k)."""
    x, _ = iterates(tmp_path, "sign-adagrad-count", start=(3.0, 0.0), iterations=3)
    assert x[:, 0] == pytest.approx(3 - 0.125 * np.cumsum([0, 1, 2**-0.5, 3**-0.5]), rel=1e-15)


@pytest.mark.parametrize("workers", [2, 5])
def test_error_feedback_loses_nothing(workers, tmp_path):
    """What was sent and what is kept add up to what there was: x_0 - x_k = sum of alpha mean g - mean e_k."""
    d, alpha = 7, 0.01
    rng = np.random.default_rng(workers)
    method = METHODS["ef-sign"]()
    from mpisign.aggregation.exchange_registry import exchange_factory
    from mpisign.aggregation.server import SERVERS
    from mpisign.comm.communicator import SerialCommunicator
    from mpisign.rng import RandomStreams

    server = SERVERS[method.message](
        exchange_factory("server", SerialCommunicator()), workers, d, "exact", RandomStreams(1, 0)
    )
    memory, x, total = [method.memory(d) for _ in range(workers)], np.zeros(d), np.zeros(d)
    for k in range(20):
        server.start_iteration(k)
        gradients = rng.standard_normal((workers, d))
        total += alpha * gradients.mean(axis=0)
        for worker in range(workers):
            method.encode(gradients[worker].copy(), alpha, memory[worker], server.message(worker))
        method.step(x, alpha, server.aggregate(), np.zeros(0))
    kept = np.mean([part[0] for part in memory], axis=0)
    assert np.abs(kept).max() > 1e-3
    assert -x + kept == pytest.approx(total, abs=1e-15)


def test_a_step_of_one_s_own_is_not_cut_into_shares():
    """Only a step that does nothing but subtract a multiple of the reply is; who writes another one need not say so."""
    assert all(METHODS[name].only_subtracts for name in METHODS)

    class Decayed(METHODS["sign"]):
        def step(self, x, alpha, reply, shared):
            x *= 0.5

    class Renamed(METHODS["ef-sign"]):
        pass

    class Halved(METHODS["gd"]):
        only_subtracts = True

        def step(self, x, alpha, reply, shared):
            reply.subtract_from(x, alpha / 2)

    assert not Decayed.only_subtracts
    assert not type("Again", (Decayed,), {}).only_subtracts
    assert Renamed.only_subtracts
    assert Halved.only_subtracts
