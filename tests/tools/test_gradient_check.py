"""--dry-run holds the gradient of a problem of one's own against its value; and f* that nobody gave is said."""

from pathlib import Path

import numpy as np
import pytest

from launch import HELPERS, mpisign
from mpisign.config.validation import InputError
from mpisign.problems import PROBLEMS, Problem
from mpisign.tools.dryrun.gradient import check_gradient

SETTINGS = {
    "separable": [{"eigenvalues": [1e-12, 1.0, 1e12]}, {"eigenvalues": [0.0, 3.0]}],
    "quadratic": [{"matrix": [[2.0, 1.0], [1.0, 2.0]]}, {"matrix": [[1e8, 1.0], [1.0, 1e-6]]}],
    "finite-quadratic": [{"eigenvalues": [1.0, 4.0], "atoms": [[1.0, 0.0], [-1.0, 0.0]], "weights": [0.5, 0.5]}],
    "toy": [{}, {"frequencies": [1.0, 20.0]}],
    "logistic": [
        {"data": "breast-cancer"},
        {"data": "breast-cancer", "scaling": "raw"},
        {"data": "wine", "regulariser": "nonconvex"},
        {"data": "digits"},
    ],
}


def test_every_problem_is_checked():
    assert set(SETTINGS) == set(PROBLEMS)


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("size", [0.0, 1.0, 30.0])
def test_the_gradients_of_our_own_problems_raise_no_alarm(kind, size):
    for table in SETTINGS[kind]:
        problem = PROBLEMS.make({"kind": kind, **table}, "problem")
        check_gradient(problem, size * np.random.default_rng(1).standard_normal(problem.dimension))


class Bowl(Problem):
    """f(x) = sum of x_i^4 + x_0 x_1"""

    dimension = 3

    def value(self, x):
        return float((x**4).sum() + x[0] * x[1])

    def gradient(self, x, out):
        out[:] = 4 * x**3
        out[:2] += x[1::-1]


class Untouched(Bowl):
    def gradient(self, x, out):
        out = 4 * x**3  # noqa: F841


class Changes(Bowl):
    def gradient(self, x, out):
        super().gradient(x, out)
        x *= 2


class Moves(Bowl):
    def value(self, x):
        x += 1.0
        return super().value(x)


class Listed(Bowl):
    def value(self, x):
        return np.array([super().value(x)])


class Samples(Bowl):
    samples = 4

    def minibatch(self, x, samples, out):
        self.gradient(x, out)


class Doubled(Samples):
    def minibatch(self, x, samples, out):
        self.gradient(x, out)
        out[1] *= 2


class Forgets(Bowl):
    def gradient(self, x, out):
        out[:] = 4 * x**3


class HalfWritten(Bowl):
    def gradient(self, x, out):
        out[:2] = 4 * x[:2] ** 3 + x[1::-1]


class Kinked(Bowl):
    """|x| has no derivative at 0, where it starts."""

    def value(self, x):
        return float(np.abs(x).sum())

    def gradient(self, x, out):
        out[:] = np.sign(x)


@pytest.mark.parametrize("good", [Bowl, Kinked, Samples])
def test_a_right_gradient_and_a_kink_raise_no_alarm(good):
    check_gradient(good(), np.zeros(3))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Untouched, "gradient leaves out as it was; expected out[:] = ...; out = ... gives the name to another array"),
        (Changes, "gradient changes x"),
        (Moves, "value changes x"),
        (Listed, "expected value to return a number, got an array"),
        (Doubled, "minibatch of all data points gives 66 in coordinate 1, gradient 33"),
        (Forgets, "at x_0 gradient gives 4 in coordinate 0, finite differences of value 6"),
        (HalfWritten, "at x_0 gradient gives nan in coordinate 2, finite differences of value 4"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(wrong, said):
    with pytest.raises(InputError) as refused:
        check_gradient(wrong(), np.array([1.0, 2.0, 1.0]))
    assert said in str(refused.value)
    assert wrong.__name__ in str(refused.value)


JOB = """
iterations = 5
problem = {{ kind = "{kind}" }}
start = {{ kind = "point", x = [1.0, 2.0, 1.0] }}
[[runs]]
method = "gd"
step = {{ kind = "constant", alpha = 1e-3 }}
"""


@pytest.mark.parametrize(("kind", "status"), [("Bowl", 0), ("Forgets", 2)])
def test_a_dry_run_of_a_problem_of_one_s_own(tmp_path, kind, status):
    (tmp_path / "job.toml").write_text(JOB.format(kind=f"test_gradient_check:{kind}"))
    path = {"PYTHONPATH": f"{Path(__file__).parent}:{HELPERS}"}
    dry = mpisign("run", "job.toml", "-o", "r.h5", "--dry-run", cwd=tmp_path, **path)
    assert dry.returncode == status, dry.stderr
    said = (
        f"problem test_gradient_check:{kind}: f* is taken to be 0, since it defines neither minimum_value nor minimum"
    )
    if status:
        assert len(dry.stderr.splitlines()) == 1
    else:
        assert dry.stdout.count(said) == 1
        run = mpisign("run", "job.toml", "-o", "r.h5", cwd=tmp_path, **path)
        assert (run.returncode, run.stderr) == (0, f"mpisign: {said}\n")
