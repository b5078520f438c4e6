"""Error rates of the verdicts over simulated experiments, their limits against plain arithmetic, and their edges."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpisign.theory import verdict
from mpisign.theory.verdict import checkpoints, judge, judge_exact, vacuous

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


def violations(ratios, level=LEVEL):
    """Of experiments, (R, m, experiments): as `judge` finds them, by the capital at ratio 1, but all at once."""
    return (verdict.log_capital(ratios) > math.log(ratios.shape[1] / level)).any(axis=0)


# How often they are wrong


@pytest.mark.parametrize("repeats", [20, 100])
@pytest.mark.parametrize("law", LAWS)
def test_false_alarms(law, repeats):
    """With every mean at its bound: at most 1000 * 0.05, plus 3.5 standard errors of a rate of 0.05 (chance 2e-4 each).

    The guarantee is for any law; the counts found are some 0 to 10, for the capital has to last to the end.
    """
    rng = np.random.default_rng([1, repeats])
    wrong = violations(LAWS[law](rng, (repeats, 3, EXPERIMENTS))).sum()
    assert wrong <= EXPERIMENTS * LEVEL + 3.5 * math.sqrt(EXPERIMENTS * LEVEL * (1 - LEVEL))


@pytest.mark.parametrize("law", LAWS)
def test_the_capital_is_at_most_one_on_average(law):
    """The reason for it, tested sharper than by the alarms: E capital = 1 exactly at mean 1, within 4 standard errors.

    Of 3 repeats, where the capital's variance is finite and small enough to be measured.
    """
    rng = np.random.default_rng(2)
    capital = np.exp(verdict.log_capital(LAWS[law](rng, (3, 100_000))))
    assert capital.mean() == pytest.approx(1, abs=4 * capital.std() / math.sqrt(100_000) + 1e-12)


def test_false_alarms_when_repeats_differ():
    """Means over the repeats' own x_0, 0.5 and 1.5 by turns: the mean of them is 1, and the guarantee the same."""
    rng = np.random.default_rng(3)
    own = np.where(np.arange(100) % 2, 0.5, 1.5)[:, None, None]
    assert violations(own * rng.chisquare(1, (100, 3, EXPERIMENTS))).sum() <= EXPERIMENTS * LEVEL


@pytest.mark.parametrize(("m", "least"), [(1, 0.94), (3, 0.995), (12, 0.999)])
def test_power(m, least):
    """Chi-square_1 gaps of twice the bound, R = 100, independent at each checkpoint: found nearly always.

    Found in 0.964 (one checkpoint), more than 0.999 (three or twelve) of 4000.
    """
    rng = np.random.default_rng(4)
    assert violations(2 * rng.chisquare(1, (100, m, EXPERIMENTS))).mean() >= least


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
        high = verdict.upper_limits(LAWS[law](rng, (repeats, EXPERIMENTS)) * (1 + 1e-9), LEVEL)
        error = math.sqrt(rate * (1 - rate) * (1 / EXPERIMENTS + 1 / 4000))
        assert (high <= 1).mean() == pytest.approx(rate, abs=4.5 * error)


def test_what_holds_with_room_is_confirmed():
    """Half the bound, exponential, 100 repeats, 12 checkpoints: 40 of 40 judgements."""
    rng = np.random.default_rng(6)
    high = verdict.upper_limits(rng.exponential(0.5, (100, 12 * 40)), LEVEL / 12)
    assert (high <= 1).all()
    assert judge(rng.exponential(0.5, (100, 12)), np.ones(12)).verdict == "confirmed"


# The limits


@pytest.mark.parametrize("law", LAWS)
@given(seed=st.integers(0, 2**32 - 1), repeats=st.integers(2, 60), level=st.floats(1e-4, 0.9), log=st.floats(-500, 500))
def test_lower_limit(law, seed, repeats, level, log):
    """Where the capital is 1 / level, by plain products; it scales with Z and is below the mean."""
    ratios = LAWS[law](np.random.default_rng(seed), repeats)
    low = verdict.lower_limit(ratios, level)
    if not ratios.any():
        assert low == 0
        return
    capital = np.mean([np.prod(1 + stake * (ratios / low - 1)) for stake in verdict._STAKES])
    assert capital == pytest.approx(1 / level, rel=1e-6)
    assert 0 < low < ratios.mean()
    assert verdict.lower_limit(ratios * math.exp(log), level) == pytest.approx(low * math.exp(log), rel=1e-9)


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.5, 4))
def test_judge_and_the_capital_agree(seed, scale):
    rng = np.random.default_rng(seed)
    gaps = scale * rng.exponential(1, (30, 4))
    assert (judge(gaps, np.ones(4)).verdict == "violated") == violations(gaps[:, :, None])[0]


@pytest.mark.parametrize("law", ["exponential", "heads or tails"])
def test_upper_limits_by_hand(law):
    """Every resample written out, and studentised by numpy; -inf where all its values are one and below the mean."""
    ratios = LAWS[law](np.random.default_rng(7), (12, 2))
    counts = np.concatenate(list(verdict._resamples(12, 500))).astype(int)
    assert counts.shape == (500, 12)
    assert (counts.sum(axis=1) == 12).all()
    # A count is binomial(12, 1/12): its variance is 11/12, here within some 5 standard errors.
    assert counts.var() == pytest.approx(11 / 12, abs=0.1)
    high = verdict.upper_limits(ratios, 0.05)  # 25 / 0.05 resamples
    for column in range(2):
        z = ratios[:, column]
        samples = np.array([np.repeat(z, row) for row in counts])
        with np.errstate(divide="ignore"):
            t = (samples.mean(axis=1) - z.mean()) / (samples.std(axis=1, ddof=1) / math.sqrt(12))
        q = np.sort(t)[24]  # the 25th of 500
        assert high[column] == pytest.approx(z.mean() - q * z.std(ddof=1) / math.sqrt(12), rel=1e-9)


def test_upper_limits_of_two_values():
    """A quarter of the resamples of (0, 1) are (0, 0): no limit. Of huge and tiny ones, the limits scale."""
    assert verdict.upper_limits(np.array([[0.0], [1.0]]), 0.05)[0] == math.inf
    ratios = np.random.default_rng(8).exponential(1, (30, 1))
    for size in (1e200, 1e-200):
        expected = verdict.upper_limits(ratios, 0.05) * size
        assert verdict.upper_limits(ratios * size, 0.05) == pytest.approx(expected, rel=1e-9)


def test_limits_are_the_same_twice_and_scale():
    rng = np.random.default_rng(9)
    gaps = rng.exponential(1, (25, 3))
    one, two = judge(gaps, np.ones(3)), judge(gaps, np.ones(3))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    scaled = judge(gaps * 1e200, np.full(3, 1e200))
    assert scaled.verdict == one.verdict
    for name in ("mean", "low", "high", "bound"):
        assert getattr(scaled, name) == pytest.approx(getattr(one, name) * 1e200, rel=1e-9)


def test_the_order_of_the_repeats_does_not_matter_for_low():
    rng = np.random.default_rng(10)
    gaps = rng.exponential(1, (25, 3))
    assert judge(gaps[::-1], np.ones(3)).low == pytest.approx(judge(gaps, np.ones(3)).low, rel=1e-9)


# The verdicts


def test_each_verdict():
    rng = np.random.default_rng(11)
    gaps = rng.exponential(1, (100, 2))
    assert judge(gaps, np.array([3.0, 3.0])).verdict == "confirmed"
    assert judge(gaps, np.array([3.0, 1.0])).verdict == "inconclusive"
    assert judge(gaps, np.array([3.0, 0.2])).verdict == "violated"
    assert judge(gaps[: verdict.MIN_REPEATS - 1], np.array([9.0, 9.0])).verdict == "inconclusive"
    assert judge(gaps[: verdict.MIN_REPEATS], np.array([9.0, 9.0])).verdict == "confirmed"
    assert judge(gaps[:1], np.array([9.0, 9.0])).high.tolist() == [math.inf] * 2


def test_the_evidence():
    rng = np.random.default_rng(12)
    gaps, bounds = rng.exponential(1, (40, 2)), rng.uniform(1, 2, (40, 2))
    found = judge(gaps, bounds, level=0.01)
    assert (found.premise, found.level) == ("", 0.01)
    assert (found.mean == gaps.mean(axis=0)).all()
    assert (found.bound == bounds.mean(axis=0)).all()
    low, high = found.low / found.bound, found.high / found.bound
    assert low == pytest.approx([verdict.lower_limit(column, 0.005) for column in (gaps / bounds).T])
    assert high == pytest.approx(verdict.upper_limits(gaps / bounds, 0.005))
    assert (low < (gaps / bounds).mean(axis=0)).all()
    assert ((gaps / bounds).mean(axis=0) < high).all()


def test_each_repeat_has_its_own_bound():
    """Gaps at their bounds, which differ a thousandfold: not violated, but when every repeat has another's bound."""
    bounds = np.geomspace(1, 1000, 60)[:, None]
    assert judge(bounds, bounds).verdict == "confirmed"  # constant ratios 1
    assert judge(bounds, bounds[::-1]).verdict == "violated"


def test_a_repeat_that_diverged_is_enough():
    gaps = np.full((100, 2), 0.1)
    gaps[3, 1] = math.inf
    found = judge(gaps, np.ones(2))
    assert found.verdict == "violated"
    assert found.low.tolist() == [pytest.approx(0.1, rel=0.2), math.inf]
    assert found.high.tolist() == [pytest.approx(0.1), math.inf]
    assert judge(np.full((100, 1), 1e300), np.full(1, 1e-300)).verdict == "violated"
    assert judge(np.full((100, 1), 1e308), np.full(1, 1.0)).verdict == "violated"


def test_gaps_of_zero():
    found = judge(np.zeros((20, 1)), np.ones(1))
    assert (found.verdict, found.low[0], found.high[0]) == ("confirmed", 0, 0)


def test_the_error_of_f_star_goes_against_both():
    """Gaps of 1.5: violated at 1, no longer if f* is off by 0.6; of 0.8: confirmed, no longer then."""
    for gap, known in ((1.5, "violated"), (0.8, "confirmed")):
        assert judge(np.full((100, 1), gap), np.ones(1)).verdict == known
        assert judge(np.full((100, 1), gap), np.ones(1), f_star_error=0.6).verdict == "inconclusive"
    assert judge(np.full((100, 1), 0.1), np.ones(1), f_star_error=0.2).low[0] == 0


def test_more_checkpoints_widen_the_limits():
    rng = np.random.default_rng(13)
    gaps = rng.exponential(1, (40, 1))
    one, many = judge(gaps, np.ones(1)), judge(np.tile(gaps, 12), np.ones(12))
    assert many.low[0] < one.low[0]
    assert many.high[0] > one.high[0]
    alone = judge(gaps, np.ones(1), level=LEVEL / 12)
    assert (many.low[0], many.high[0]) == pytest.approx((alone.low[0], alone.high[0]), rel=1e-12)


def test_exact():
    bounds = np.array([2.0, 1.0, 0.0])
    assert judge_exact(np.array([[2.0, 1 + 0.5e-10, 0.0]]), bounds).verdict == "confirmed"
    assert judge_exact(np.array([[2.0, 1 + 2e-10, 0.0]]), bounds).verdict == "violated"
    assert judge_exact(np.array([[2.0, 1.0, 1e-17]]), bounds).verdict == "violated"
    assert judge_exact(np.array([[2.0, 1.0, 1e-17]]), bounds, rounding=1e-16).verdict == "confirmed"
    # Every single gap, not their mean.
    found = judge_exact(np.array([[0.0, 0.0, 0.0], [3.0, 1.0, 0.0]]), bounds)
    assert found.verdict == "violated"
    assert (found.low.tolist(), found.mean.tolist(), found.high.tolist()) == ([0] * 3, [1.5, 0.5, 0], [3, 1, 0])
    # The limits are of gap / bound, whatever the repeats' own bounds are.
    found = judge_exact(np.array([[1.0], [8.0]]), np.array([[4.0], [8.0]]))
    assert (found.verdict, found.low.tolist(), found.high.tolist()) == ("confirmed", [1.5], [6.0])
    assert judge_exact(np.array([[math.inf]]), np.ones(1)).verdict == "violated"


def test_vacuous():
    found = vacuous(np.array([[1.0, 2.0], [3.0, 4.0]]), "p_min > 1/2 at k = 300")
    assert (found.verdict, found.premise) == ("vacuous", "p_min > 1/2 at k = 300")
    assert found.mean.tolist() == [2, 3]
    assert np.isnan([found.low, found.high, found.bound]).all()
    with pytest.raises(ValueError, match="premise"):
        vacuous(np.ones((1, 1)), "")


# The checkpoints


@given(st.lists(st.integers(0, 10**7), min_size=1, unique=True).map(sorted))
def test_checkpoints(ks):
    ks = np.array(ks)
    if ks[-1] == 0:
        with pytest.raises(ValueError, match="some k > 0"):
            checkpoints(ks)
        return
    found = checkpoints(ks)
    assert 1 <= len(found) <= 12
    assert (np.diff(found) > 0).all()
    assert found[-1] == len(ks) - 1
    assert (ks[found] > 0).all()
    if (ks > 0).sum() <= 1:
        assert len(found) == 1


def test_checkpoints_of_schedules():
    assert checkpoints(np.arange(5)).tolist() == [1, 2, 3, 4]
    assert np.arange(0, 100_001, 1)[checkpoints(np.arange(100_001))].tolist() == [
        1, 3, 8, 23, 66, 187, 534, 1520, 4329, 12328, 35112, 100000,
    ]  # fmt: skip
    ks = np.array([0, *np.unique(np.geomspace(10, 10_000, 40).astype(int))])
    ratios = ks[checkpoints(ks)][1:] / ks[checkpoints(ks)][:-1]
    assert len(ratios) == 11
    assert ratios.max() / ratios.min() < 1.6
    for wrong in ([3, 2], [1, 1], [[1, 2]]):
        with pytest.raises(ValueError, match="ks is increasing"):
            checkpoints(np.array(wrong))


# What is refused


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"gaps": np.ones(3)}, "gaps"),
        ({"gaps": np.ones((0, 3))}, "gaps"),
        ({"gaps": np.full((5, 3), -1e-9)}, "gaps"),
        ({"gaps": np.full((5, 3), math.nan)}, "gaps"),
        ({"bounds": np.array([1.0, 1.0, 0.0])}, "bounds"),
        ({"bounds": np.array([1.0, 1.0, -1.0])}, "bounds"),
        ({"bounds": np.array([1.0, 1.0, math.inf])}, "bounds"),
        ({"bounds": np.array([1.0, 1.0, math.nan])}, "bounds"),
        ({"bounds": np.ones(2)}, "broadcast"),
        ({"level": 0.0}, "level"),
        ({"level": 1.0}, "level"),
        ({"level": math.nan}, "level"),
        ({"f_star_error": -1.0}, "f_star_error"),
        ({"f_star_error": math.nan}, "f_star_error"),
    ],
)
def test_what_is_refused(change, name):
    given = {"gaps": np.ones((5, 3)), "bounds": np.ones(3)} | change
    with pytest.raises(ValueError, match=name):
        judge(**given)


@pytest.mark.parametrize("rounding", [-1e-9, math.nan, math.inf])
def test_a_rounding_error_is_a_number(rounding):
    with pytest.raises(ValueError, match="rounding"):
        judge_exact(np.ones((1, 1)), np.ones(1), rounding=rounding)
