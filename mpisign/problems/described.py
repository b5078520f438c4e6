"""The problems as a script names them: described by their settings, and made when a run is planned."""

from mpisign.config.objects import describer
from mpisign.problems import PROBLEMS

FiniteQuadratic = describer(PROBLEMS, "finite-quadratic")
Logistic = describer(PROBLEMS, "logistic")
Quadratic = describer(PROBLEMS, "quadratic")
Separable = describer(PROBLEMS, "separable")
Toy = describer(PROBLEMS, "toy")
