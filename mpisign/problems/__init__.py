"""The objectives f; one file each."""

from mpisign.config.registry import Registry
from mpisign.problems.base import Minimum, Problem
from mpisign.problems.finite_sum import FiniteQuadratic
from mpisign.problems.logistic import logistic
from mpisign.problems.quadratic import Quadratic, Separable
from mpisign.problems.toy import Toy

PROBLEMS: Registry[Problem] = Registry(
    "problems",
    Problem,
    separable=Separable,
    quadratic=Quadratic,
    finite_quadratic=FiniteQuadratic,
    toy=Toy,
    logistic=logistic,
)

__all__ = ["PROBLEMS", "Minimum", "Problem"]
