"""The audit's two counterexamples (docs/audit/counterexamples.md), and the drift of a vote over any finite law."""

from itertools import product

import numpy as np

from mpisign.theory.noise import FiniteDistribution

CE_A = FiniteDistribution(np.array([[-0.4, 1.0], [-0.4, -1.0], [0.4, 0.0], [0.0, 0.0]]), np.array([0.1, 0.1, 0.2, 0.6]))
CE_B = FiniteDistribution(np.array([[-0.2, 1.0], [-0.2, -1.0], [0.2, 0.0], [0.0, 0.0]]), np.array([0.2, 0.2, 0.4, 0.2]))


def data_of(law):
    """The keys of a finite-quadratic problem whose data points have this law."""
    return {"eigenvalues": [1.0, 1.0], "atoms": law.atoms.tolist(), "weights": law.weights.tolist()}


TIES = {"zero": 0, "coin": 0, "plus-positive": 1, "plus-negative": 1}
"""What a tied vote becomes, in the mean."""


def drift_by_enumeration(gradient, law, workers, ties="zero"):
    """E[M_k g'v] over every choice of an atom by every worker; a tied vote becomes +1 by the rules "plus-..."."""
    total = 0.0
    for choice in product(range(len(law.weights)), repeat=workers):
        sent = gradient + law.atoms[list(choice)]
        majority = np.sign(sent).sum(axis=0)
        vote = np.where(majority == 0, TIES[ties], np.sign(majority))
        total += law.weights[list(choice)].prod() * np.abs(sent).sum(axis=1).mean() * (gradient @ vote)
    return total
