"""Limits by betting: their errors by counting every outcome and by simulation, and against plain arithmetic."""

import math
from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from mpisign.theory import limits
from mpisign.theory.limits import bounded_upper_limits, joint_limit, lower_limits

EXPERIMENTS = 1000
LEVEL = 0.05
LAWS = {  # of mean 1
    "chi-square": lambda rng, shape: rng.chisquare(1, shape),
    "lognormal 1": lambda rng, shape: rng.lognormal(-0.5, 1, shape),
    "lognormal 2": lambda rng, shape: rng.lognormal(-2, 2, shape),
    "exponential": lambda rng, shape: rng.exponential(1, shape),
    "rare and huge": lambda rng, shape: np.where(rng.random(shape) < 0.01, 50.5, 0.5),
    "heads or tails": lambda rng, shape: 2.0 * (rng.random(shape) < 0.5),
    "constant": lambda rng, shape: np.ones(shape),
}


def alarms(ratios, level=LEVEL):
    """Of experiments, (R, m, experiments): whether `joint_limit` is above 1, for all at once."""
    return limits.log_joint_capital(ratios) > -math.log(level)


# How often they are wrong


@pytest.mark.parametrize("repeats", [20, 100])
@pytest.mark.parametrize("law", LAWS)
def test_false_alarms(law, repeats):
    """With every mean at its bound: at most 1000 * 0.05, plus 3.5 standard errors of a rate of 0.05 (chance 2e-4 each).

    The guarantee is for any law; the counts found are 0 to 30.
    """
    rng = np.random.default_rng([1, repeats])
    wrong = alarms(LAWS[law](rng, (repeats, 3, EXPERIMENTS))).sum()
    assert wrong <= EXPERIMENTS * LEVEL + 3.5 * math.sqrt(EXPERIMENTS * LEVEL * (1 - LEVEL))


@pytest.mark.parametrize("memory", [0.5, 0.95, 1.0])
def test_false_alarms_of_checkpoints_of_one_path(memory):
    """Squares of 12 points of an autoregression in each of 60 repeats, of one point 12 times where its memory is 1.

    At most 1000 * 0.05 and 3.5 standard errors (chance 2e-4 each).
    """
    rng = np.random.default_rng(2)
    z = rng.standard_normal((60, 12, EXPERIMENTS))
    for j in range(1, 12):
        z[:, j] = memory * z[:, j - 1] + math.sqrt(1 - memory**2) * z[:, j]
    assert alarms(z**2).sum() <= EXPERIMENTS * LEVEL + 3.5 * math.sqrt(EXPERIMENTS * LEVEL * (1 - LEVEL))


def outcomes(values, probability, repeats):
    """Every sequence of two values, (repeats, sequences), and its probability, that of the second being given."""
    drawn = np.array(list(product((0, 1), repeat=repeats))).T
    ones = drawn.sum(axis=0)
    return np.array(values)[drawn], probability**ones * (1 - probability) ** (repeats - ones)


@pytest.mark.parametrize("probability", [0.02, 0.1, 0.3, 0.5, 0.7])
def test_false_alarms_by_every_outcome(probability):
    """Of 0 or 1/p, mean 1, ten repeats: the probability of an alarm, summed over all 1024 sequences, at any level."""
    z, weights = outcomes((0.0, 1 / probability), probability, 10)
    assert weights.sum() == pytest.approx(1)
    found = [weights[alarms(z[:, None], level)].sum() for level in (0.05, 0.2, 0.5)]
    assert (np.array(found) <= (0.05, 0.2, 0.5)).all()
    assert found[-1] > 0.03
    last = limits.log_capital(z)
    assert weights @ np.exp(last) == pytest.approx(1)  # an e-value, to the last digit
    assert all(weights[last > -math.log(level)].sum() <= level for level in (0.05, 0.2, 0.5))


@pytest.mark.parametrize("most", [1.0, 4.0])
def test_errors_of_the_exact_upper_limit_by_every_outcome(most):
    """Of 0 or B, twelve repeats, summed over the binomial: P(limit < mean) <= level for every mean, and not 0."""
    wins = np.arange(13)
    samples = np.where(np.arange(12)[:, None] < wins, most, 0.0)
    for level in (0.05, 0.3):
        high = bounded_upper_limits(samples, np.full(13, most), level)
        errors = [scipy.stats.binom.pmf(wins, 12, p)[high < most * p].sum() for p in np.linspace(0.01, 1, 100)]
        assert max(errors) <= level
        assert max(errors) > level / 12


@pytest.mark.parametrize("law", LAWS)
def test_the_capital_is_at_most_one_on_average(law):
    """The reason for it, tested sharper than by the alarms: E capital = 1 exactly at mean 1, within 4 standard errors.

    Of 3 repeats, where the capital's variance is finite and small enough to be measured.
    """
    rng = np.random.default_rng(2)
    capital = np.exp(limits.log_capital(LAWS[law](rng, (3, 100_000))))
    assert capital.mean() == pytest.approx(1, abs=4 * capital.std() / math.sqrt(100_000) + 1e-12)


def test_false_alarms_of_a_lower_limit_when_repeats_differ():
    """Means over the repeats' own x_0, 0.5 and 1.5 by turns: a limit of the mean of them, 1, without an order."""
    rng = np.random.default_rng(3)
    own = np.where(np.arange(100) % 2, 0.5, 1.5)[:, None]
    low = lower_limits(own * rng.chisquare(1, (100, EXPERIMENTS)), LEVEL)
    assert (low > 1).sum() <= EXPERIMENTS * LEVEL


@pytest.mark.parametrize(("m", "least"), [(1, 0.98), (3, 0.995), (12, 0.999)])
def test_power(m, least):
    """Chi-square_1 gaps of twice the bound, R = 100, independent at each checkpoint: found nearly always."""
    rng = np.random.default_rng(4)
    assert alarms(2 * rng.chisquare(1, (100, m, EXPERIMENTS))).mean() >= least


@pytest.mark.parametrize(("law", "repeats", "least"), [("exponential", 60, 0.25), ("lognormal 1", 200, 0.7)])
def test_power_at_a_third_above(law, repeats, least):
    """Means 1.3 at one checkpoint: more often than by the stakes and the level at the end alone (0.19 and 0.56)."""
    rng = np.random.default_rng(5)
    assert alarms(1.3 * LAWS[law](rng, (repeats, 1, EXPERIMENTS))).mean() >= least


@pytest.mark.parametrize(
    ("law", "rates"),
    [
        ("chi-square", (0.078, 0.052)),
        ("exponential", (0.067, 0.058)),
        ("lognormal 1", (0.109, 0.073)),
        ("lognormal 2", (0.244, 0.182)),
        ("rare and huge", (0.815, 0.362)),
        ("constant", (0, 0)),
    ],
)
def test_wrong_confirmations(law, rates):
    """A mean a hair above its bound, one checkpoint: as the docstring states them, R = 20 and 100, within 4.5 SE.

    1000 samples here and 4000 there (chance 7e-6 each).
    """
    for repeats, rate in zip((20, 100), rates, strict=True):
        rng = np.random.default_rng([5, repeats])
        high = limits.upper_limits(LAWS[law](rng, (repeats, EXPERIMENTS)) * (1 + 1e-9), LEVEL)
        error = math.sqrt(rate * (1 - rate) * (1 / EXPERIMENTS + 1 / 4000))
        assert (high <= 1).mean() == pytest.approx(rate, abs=4.5 * error)


# The limits


@pytest.mark.parametrize("law", LAWS)
@given(seed=st.integers(0, 2**32 - 1), repeats=st.integers(2, 60), level=st.floats(1e-4, 0.9), log=st.floats(-500, 500))
def test_lower_limits(law, seed, repeats, level, log):
    """Where the capital is 1 / level, by plain products; it scales with Z and is below the mean."""
    ratios = LAWS[law](np.random.default_rng(seed), (repeats, 1))
    low = lower_limits(ratios, level)[0]
    if not ratios.any():
        assert low == 0
        return
    capital = np.mean([np.prod(1 + stake * (ratios / low - 1)) for stake in limits.STAKES])
    assert capital == pytest.approx(1 / level, rel=1e-6)
    assert 0 < low < ratios.mean()
    assert lower_limits(ratios * math.exp(log), level)[0] == pytest.approx(low * math.exp(log), rel=1e-9)


def test_lower_limits_of_columns_are_those_of_each():
    ratios = np.random.default_rng(6).exponential(1, (30, 5))
    ratios[:, 1], ratios[3, 2] = 0, math.inf
    found = lower_limits(ratios, 0.05)
    assert found[1:3].tolist() == [0, math.inf]
    assert found == pytest.approx([lower_limits(ratios[:, [i]], 0.05)[0] for i in range(5)], rel=1e-12)


def running(ratios, c):
    """The highest capital by plain loops."""
    accounts = [[1.0] * ratios.shape[1] for _ in limits.STAKES]
    highest = 0.0
    for row in ratios:
        for account, stake in zip(accounts, limits.STAKES, strict=True):
            for k, z in enumerate(row):
                account[k] *= 1 + stake * (z / c - 1)
        highest = max(highest, np.mean(accounts))
    return highest


@given(seed=st.integers(0, 2**32 - 1), m=st.integers(1, 4), level=st.floats(1e-3, 0.5))
def test_joint_limit(seed, m, level):
    """Where the highest capital is 1 / level, by plain loops; at least what Bonferroni gives; the same of copies."""
    ratios = np.random.default_rng(seed).exponential(1, (12, m))
    found = joint_limit(ratios, level)
    assert running(ratios, found) == pytest.approx(1 / level, rel=1e-6)
    assert found >= lower_limits(ratios, level / m).max() * (1 - 1e-12)
    assert joint_limit(np.tile(ratios, 3), level) == pytest.approx(found, rel=1e-9)


@given(seed=st.integers(0, 2**32 - 1), row=st.integers(0, 19), more=st.floats(0, 100))
def test_the_limits_rise_with_every_gap(seed, row, more):
    ratios = np.random.default_rng(seed).chisquare(1, (20, 2))
    larger = ratios.copy()
    larger[row, 1] += more
    slack = 1 - 1e-11
    assert (lower_limits(larger, 0.05) >= lower_limits(ratios, 0.05) * slack).all()
    assert joint_limit(larger, 0.05) >= joint_limit(ratios, 0.05) * slack
    most = np.full(2, larger.max() + 1)
    high = bounded_upper_limits(larger, most, 0.05)
    assert (high >= bounded_upper_limits(ratios, most, 0.05) * slack).all()
    assert (bounded_upper_limits(larger, 2 * most, 0.05) >= high * slack).all()
    assert (bounded_upper_limits(larger, most, 0.01) >= high * slack).all()
    assert ((ratios.mean(axis=0) < high) & (high <= most)).all()


def test_joint_limit_at_its_ends():
    assert joint_limit(np.zeros((5, 2)), 0.05) == 0
    assert joint_limit(np.array([[1.0, 2.0], [math.inf, 1.0]]), 0.05) == math.inf
    ratios = np.random.default_rng(7).exponential(1, (30, 2))
    for size in (1e300, 1e-300):
        assert joint_limit(ratios * size, 0.05) == pytest.approx(joint_limit(ratios, 0.05) * size, rel=1e-9)


@pytest.mark.parametrize("wins", [0, 3, 12])
def test_bounded_upper_limits_by_hand(wins):
    """Of wins of B = 5 among 12: where the product of what two kinds of repeats pay is 1 / level; B where all win."""
    samples = np.where(np.arange(12) < wins, 5.0, 0.0)[:, None]
    high = bounded_upper_limits(samples, np.array([5.0]), 0.05)[0]
    assert bounded_upper_limits(samples, np.array([math.inf]), 0.05)[0] == math.inf
    if wins == 12:
        assert high == 5
        return
    paid = [(1 + f * high / (5 - high)) ** (12 - wins) * (1 - f) ** wins for f in limits.STAKES]
    assert np.mean(paid) == pytest.approx(20, rel=1e-6)


@pytest.mark.parametrize("repeats", [20, 64, 200])
def test_bounded_upper_limits_beside_clopper_and_pearson(repeats):
    """Of no success no exact limit of a proportion is below theirs, 1 - level^(1/R); ours is less than twice that."""
    high = bounded_upper_limits(np.zeros((repeats, 1)), np.ones(1), 0.05)[0]
    least = 1 - 0.05 ** (1 / repeats)
    assert least < high < 2 * least


@pytest.mark.parametrize("law", ["exponential", "heads or tails"])
def test_upper_limits_by_hand(law):
    """Every resample written out, and studentised by numpy; -inf where all its values are one and below the mean."""
    ratios = LAWS[law](np.random.default_rng(7), (12, 2))
    counts = np.concatenate(list(limits._resamples(12, 500))).astype(int)
    assert counts.shape == (500, 12)
    assert (counts.sum(axis=1) == 12).all()
    # A count is binomial(12, 1/12): its variance is 11/12, here within some 5 standard errors.
    assert counts.var() == pytest.approx(11 / 12, abs=0.1)
    high = limits.upper_limits(ratios, 0.05)  # 25 / 0.05 resamples
    for column in range(2):
        z = ratios[:, column]
        samples = np.array([np.repeat(z, row) for row in counts])
        with np.errstate(divide="ignore"):
            t = (samples.mean(axis=1) - z.mean()) / (samples.std(axis=1, ddof=1) / math.sqrt(12))
        q = np.sort(t)[24]  # the 25th of 500
        assert high[column] == pytest.approx(z.mean() - q * z.std(ddof=1) / math.sqrt(12), rel=1e-9)


def test_upper_limits_of_two_values():
    """A quarter of the resamples of (0, 1) are (0, 0): no limit. Of huge and tiny ones, the limits scale."""
    assert limits.upper_limits(np.array([[0.0], [1.0]]), 0.05)[0] == math.inf
    ratios = np.random.default_rng(8).exponential(1, (30, 1))
    for size in (1e200, 1e-200):
        expected = limits.upper_limits(ratios, 0.05) * size
        assert limits.upper_limits(ratios * size, 0.05) == pytest.approx(expected, rel=1e-9)
