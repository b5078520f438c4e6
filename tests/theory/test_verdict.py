"""Error rates of the verdicts over simulated experiments, their limits against plain arithmetic, and their edges."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpisign.theory import limits, verdict
from mpisign.theory.verdict import checkpoints, judge, judge_exact, rarest, vacuous

# How often they are wrong


def test_spikes_are_not_confirmed_exactly():
    """1 in 50 of 40, else 0.5: mean 1.29, 64 repeats. Of 27 % of samples, without a spike, they are on a condition.

    200 samples, within 4.5 standard errors (chance 7e-6); by the exact limit, 5 % could be, and none is.
    """
    rng = np.random.default_rng(1)
    spikes = np.where(rng.random((200, 64, 1)) < 0.02, 40.0, 0.5)
    found = [judge(gaps, np.ones(1), largest_gap=40.0) for gaps in spikes]
    assert not any(one.exact for one in found)
    confirmed = np.mean([one.verdict == "confirmed" for one in found])
    assert confirmed == pytest.approx(0.98**64, abs=4.5 * 0.032)


def test_a_known_limit_of_the_gap_makes_confirmed_exact():
    """Ten gaps up to 2 with mean 0.4: what they confirm at all, they confirm without a condition and by few."""
    gaps = np.random.default_rng(2).uniform(0, 0.8, (10, 2))
    found = judge(gaps, np.ones(2), largest_gap=2.0)
    assert (found.verdict, found.exact) == ("confirmed", True)
    assert found.high == pytest.approx(limits.bounded_upper_limits(gaps, np.full(2, 2.0), 0.05))
    assert judge(gaps, np.ones(2)).verdict == "inconclusive"
    # A limit of each repeat's own, and one that is not known at one checkpoint.
    each = np.tile([[2.0, 2.0]], (10, 1)) * np.linspace(0.5, 1, 10)[:, None]
    assert judge(gaps, np.ones(2), largest_gap=each).high == pytest.approx(found.high)
    many = judge(np.tile(gaps, (3, 1)), np.ones(2), largest_gap=np.array([2.0, math.inf]))
    assert (many.verdict, many.exact) == ("confirmed", False)
    # Everything is below the bound whatever happens: one repeat is enough.
    assert judge(gaps[:1], np.ones(2), largest_gap=1.0).verdict == "confirmed"
    # f* may be off by 0.6: of both.
    off = judge(gaps, np.ones(2), largest_gap=2.0, f_star_error=0.6)
    assert not off.exact


def test_a_limit_that_was_exceeded_is_refused():
    with pytest.raises(ValueError, match="gaps <= largest_gap"):
        judge(np.full((5, 1), 2.0), np.ones(1), largest_gap=1.9)


def test_all_checkpoints_together_find_what_none_does_alone():
    """Twelve times the same gaps: the limits of each give up a twelfth of the level, the joint one nothing."""
    gaps = np.random.default_rng(3).exponential(1.9, (40, 1))
    alone, many = judge(gaps, np.ones(1)), judge(np.tile(gaps, 12), np.ones(12))
    assert (alone.verdict, many.verdict) == ("violated", "violated")
    assert (many.low < 1).all()
    assert many.joint == pytest.approx(alone.joint, rel=1e-9)


def test_the_rarest_value_that_repeats_see():
    """By the probability that none of R is it."""
    assert (rarest(20), rarest(64), rarest(149)) == (7, 21, 50)
    for repeats in (1, 20, 33, 64, 100, 1000):
        n = rarest(repeats)
        assert (1 - 1 / n) ** repeats <= 0.05 < (1 - 1 / (n + 1)) ** repeats


def test_what_holds_with_room_is_confirmed():
    """Half the bound, exponential, 100 repeats, 12 checkpoints: 40 of 40 judgements."""
    rng = np.random.default_rng(6)
    high = limits.upper_limits(rng.exponential(0.5, (100, 12 * 40)), 0.05 / 12)
    assert (high <= 1).all()
    assert judge(rng.exponential(0.5, (100, 12)), np.ones(12)).verdict == "confirmed"


# The limits


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.5, 4))
def test_judge_and_the_capital_agree(seed, scale):
    rng = np.random.default_rng(seed)
    gaps = scale * rng.exponential(1, (30, 4))
    found = judge(gaps, np.ones(4))
    assert (found.verdict == "violated") == (limits.log_joint_capital(gaps) > math.log(20)) == (found.joint > 1)


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
    assert low == pytest.approx(limits.lower_limits(gaps / bounds, 0.005))
    assert high == pytest.approx(limits.upper_limits(gaps / bounds, 0.005))
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
    alone = judge(gaps, np.ones(1), level=0.05 / 12)
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
