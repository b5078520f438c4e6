"""The objectives f; one file each."""

from mpisign.problems.finite import FiniteQuadratic
from mpisign.problems.logistic import logistic
from mpisign.problems.problem import Minimum, Problem
from mpisign.problems.quadratic import Quadratic, Separable
from mpisign.problems.toy import Toy
from mpisign.registry import Registry

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
