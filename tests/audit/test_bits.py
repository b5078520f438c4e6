"""Bits to a given accuracy and the crossover bandwidth: against runs made up so that the answers are known."""

import numpy as np
import pytest

from alone import SGD_AND_SIGNS, run_alone
from launch import ROOT
from mpisign.storage.trajectory import RepeatRecord, RunRecord


class Made(RunRecord):
    """A run whose repeats have these gaps at k = 0, 1, ...; `bits` are sent an iteration, each way."""

    def __init__(self, label, gaps, bits, pace, method="sign"):
        attributes = {"f_star": 0.5, "method": method, "step.alpha": 1.0, "dimension": 2, "workers": 1}
        self.label, self.attributes = label, attributes | {"problem.kind": "made"}
        self.repeats = [self.made(np.array(row), bits, own) for row, own in zip(gaps, pace, strict=True)]

    @staticmethod
    def made(gaps, bits, pace):
        repeat = RepeatRecord.__new__(RepeatRecord)
        repeat.ended = ""
        repeat.status = "complete"
        k = np.arange(len(gaps))
        columns = {"k": k, "value": 0.5 + gaps, "seconds": pace * k, "bits_up": bits * k, "bits_down": bits * k}
        repeat.columns = columns
        return repeat


class MadeFile(list):
    """Of such runs, as a trajectory."""

    path = "made.h5"


@pytest.fixture
def bits(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "analysis")
    from mpisign.audit.figures.beyond import bits

    return bits


@pytest.fixture
def bandwidth(bits):
    from mpisign.audit.figures.beyond import bandwidth

    return bandwidth


SLOW = [[1.0, 0.5, 0.2, 0.09, 0.02], [1.0, 0.4, 0.05, 0.05, 0.02], [1.0, 0.5, 0.2, 0.2, 0.02]]
FAST = [[1.0, 0.08, 0.02, 0.02, 0.02]] * 3


def made():
    """SGD is there after 1 iteration of 100 bits each way; signs with the better step after 3 of 2."""
    return MadeFile(
        [
            Made("SGD, alpha = 1", FAST, 100, [1.0, 2.0, 3.0], "gd"),
            Made("signSGD, alpha = 1", [[1.0] * 5] * 3, 2, [0.4, 0.5, 0.6]),
            Made("signSGD, alpha = 2", SLOW, 2, [1.5, 1.0, 2.0]),
        ]
    )


def test_the_first_record_where_the_median_is_below(bits):
    """Medians of SLOW: 1, 0.5, 0.2, 0.09, 0.02; the pace is the method's least."""
    row = bits.costs(made())[0.1]
    sign, sgd = row["signSGD"], row["SGD"]
    assert (sign.iterations[0], sign.bits[0], sign.seconds[0]) == (3, 12, pytest.approx(1.2))
    assert (sgd.iterations[0], sgd.bits[0], sgd.seconds[0]) == (1, 200, pytest.approx(1.0))
    assert sign.run.label == "signSGD, alpha = 2"
    assert set(bits.costs(made())) == {0.1, 0.03}
    assert bits.costs(made())[0.03]["signSGD"].bits[0] == 16


def test_the_interval_is_over_resampled_repeats(bits):
    """A resample's median is below at k = 2 when repeat 1 has the majority (7/27), at k = 4 when repeat 2 has."""
    resampled = bits.costs(made())[0.1]["signSGD"].iterations
    assert set(resampled) == {2, 3, 4}
    for k in (2, 4):
        share = (resampled[1:] == k).mean()
        assert abs(share - 7 / 27) < 4 * np.sqrt(7 / 27 * 20 / 27 / len(resampled[1:]))
    estimate = bits.estimate(resampled)
    assert estimate == (3, 2, 4)


def test_bits_are_the_median_over_the_repeats(bits):
    """A second plane that travels in one repeat of three counts for nothing, and for all in its resamples."""
    file = made()
    file[2].repeats[0].columns["bits_up"] = 10 * file[2].repeats[0].columns["bits_up"]
    found = bits.costs(file)[0.1]["signSGD"]
    assert (found.iterations[0], found.bits[0]) == (3, 12)
    assert {12, 66} <= set(found.bits[found.iterations == 3])


def test_seconds_an_iteration_are_known(bits):
    """The least of all, in every resample: a bootstrap of a least is too short."""
    for name, pace in (("signSGD", 0.4), ("SGD", 1.0)):
        each = bits.costs(made())[0.1][name]
        assert each.seconds == pytest.approx(pace * each.iterations)
        assert each.pace == pytest.approx(pace)


def test_a_target_that_a_method_misses_is_not_shown(bits):
    from mpisign.config.validation import InputError

    file = made()
    del file[2]
    with pytest.raises(InputError, match=r"expected every method to reach a gap of 0\.1"):
        bits.costs(file)
    with pytest.raises(InputError, match="expected gd"):
        bits.costs(MadeFile(file[1:]))


@pytest.mark.parametrize(
    ("each", "other", "expected"),
    [
        ((3, 12, 3.0), (1, 200, 1.0), 94),
        ((1, 12, 1.0), (1, 200, 1.0), np.inf),
        ((1, 12, 0.5), (1, 200, 1.0), np.inf),
        ((9, 300, 9.0), (1, 200, 1.0), 0),
        ((9, 300, 0.5), (1, 200, 1.0), np.nan),
        ((np.inf, np.inf, np.inf), (1, 200, 1.0), np.nan),
    ],
)
def test_the_crossover(each, other, expected, bits, bandwidth):
    """Bits saved over seconds lost; there both times are the same, and below it `each` is faster."""
    each, other = (bits.Cost(None, *(np.array([value]) for value in cost)) for cost in (each, other))
    (found,) = bandwidth.crossover(each, other)
    assert found == pytest.approx(expected, nan_ok=True)
    if np.isfinite(found) and found > 0:
        b = np.array([found / 2, found, 2 * found])
        difference = bandwidth.seconds_at(each, b) - bandwidth.seconds_at(other, b)
        assert difference[1] == pytest.approx(0, abs=1e-12)
        assert difference[0] < 0 < difference[2]


def test_an_interval_of_what_is_known(bits):
    from mpisign.audit.intervals import estimate_of_known

    some = np.array([3.0, *np.linspace(2, 4, 96), *[np.nan] * 4])
    assert estimate_of_known(some) == pytest.approx((3, 2.04, 3.96), abs=0.02)
    assert estimate_of_known(np.append(some, [np.nan] * 3)) is None
    assert estimate_of_known(np.append(np.nan, some)) is None


def test_the_words(bandwidth):
    words = {94e6: "below 94 Mbit/s [94, 94]", np.inf: "at every bandwidth [inf, inf]", 0: "at no bandwidth [0, 0]"}
    for value, said in words.items():
        assert bandwidth.below(np.full(400, value)) == said
    assert bandwidth.below(np.full(400, np.nan)) == "at no bandwidth, or only above some bandwidth"


def test_the_scripts(script, tmp_path):
    """One word of signs and the norm are 128 bits each way, 30 coordinates and their norm 1984."""
    file = run_alone(tmp_path, SGD_AND_SIGNS)
    for name, expected in (
        ("bits", ", scaled signSGD: "),
        ("bandwidth", "a dense message has 1984 bits, one of signs 128: 15.5 times fewer"),
    ):
        status, out, err = script(name, file, "-o", tmp_path)
        assert (status, err) == (0, "")
        assert expected in out
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
        assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", ["bits", "bandwidth"])
def test_a_label_is_no_mathematics(name, script, tmp_path):
    """What matplotlib would take for a formula, and for a wrong one."""
    file = run_alone(tmp_path, SGD_AND_SIGNS.replace('"SGD,', '"$x^$ SGD,'))
    assert script(name, file, "-o", tmp_path)[::2] == (0, "")


@pytest.mark.parametrize("name", ["bits", "bandwidth"])
def test_a_step_that_is_not_constant_is_refused(name, script, tmp_path):
    file = run_alone(tmp_path, SGD_AND_SIGNS.replace('kind = "constant", alpha = 8.0', 'kind = "harmonic", c = 8.0', 1))
    status, out, err = script(name, file, "-o", tmp_path)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "constant steps, and the same number of complete repeats, at least 2, of every run" in err


@pytest.mark.parametrize("name", ["bits", "bandwidth"])
def test_a_file_without_sgd_is_refused_in_one_line(name, script, tmp_path):
    file = run_alone(tmp_path, SGD_AND_SIGNS, "runs.0.method=sign", "iterations=2")
    status, out, err = script(name, file, "-o", tmp_path / "figures")
    assert (status, out) == (2, "")
    assert err.startswith(f"{name}.py: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "figures").exists()
