"""Runs at a frozen x, where every k is one more draw: what the vote did each time, and what theory says of it."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.stats

from mpisign.settings import BadInput
from mpisign.theory.noise import Law, mean_law
from mpisign.theory.votes import Moments, VoteDrift, moments, three_point, vote_drift
from mpisign.trajectory import Repeat, RunRecord, Trajectory

_MOVED = 1e-6
"""x counts as frozen while ||g||_1 moves by no more than this part of itself."""


class Mean(NamedTuple):
    """A mean over independent draws, with Student's interval at 95 %."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"

    def holds(self, value: float) -> bool:
        """Whether the interval has this value in it."""
        return self.low <= value <= self.high


def mean(samples: np.ndarray) -> Mean:
    """Of samples of shape (n,), n >= 2."""
    middle = samples.mean()
    spread = scipy.stats.t.ppf(0.975, len(samples) - 1) * scipy.stats.sem(samples)
    return Mean(float(middle), float(middle - spread), float(middle + spread))


class Frozen(NamedTuple):
    """One repeat at a frozen x where all |g_i| are equal.

    gradient: g, (d,). advantage: mean over i of sign(g_i) vote_i, each k, (n,). drift: M_k g'v / (||g||_1 E N), each k,
    (n,). known: the moments of a worker's g~. theory: the drift E[M_k g'v] over ||g||_1 E N.
    """

    run: RunRecord
    gradient: np.ndarray
    advantage: np.ndarray
    drift: np.ndarray
    known: Moments
    theory: VoteDrift


def frozen(trajectory: Trajectory) -> Iterator[Frozen]:
    """Every complete repeat of every run, in the order of the file; raises BadInput when one is something else."""
    for run in trajectory:
        for repeat in run.finished():
            if len(repeat.columns["k"]) < 3 or not _is_frozen(repeat):
                raise BadInput(
                    str(trajectory.path), "expected a frozen x and log = { every = 1 }, as jobs/workers.toml has"
                )
            yield _frozen(run, repeat, str(trajectory.path))


def law(run: RunRecord, gradient: np.ndarray) -> Moments | None:
    """The moments of a worker's g~ at g; None when its law is not a finite one that is known."""
    a = run.attributes
    if a["oracle.kind"] == "additive" and a["oracle.noise"] == "three-point":
        return three_point(gradient, size=a["oracle.size"], q=a["oracle.q"])
    if a["problem.kind"] == "finite-quadratic" and a["oracle.kind"] == "minibatch":
        mixed = mean_law(Law(a["problem.atoms"], a["problem.weights"]), a["oracle.batch"])
        return mixed and moments(gradient, mixed)
    return None


def theory(run: RunRecord, gradient: np.ndarray, known: Moments) -> VoteDrift:
    """E[M_k g'v] over ||g||_1 E N; a decoupled norm has no covariance with the signs."""
    drift = vote_drift(gradient, known, int(run.attributes["workers"]))
    exact, independent = np.array(drift) / (np.abs(gradient).sum() * known.norm)
    return VoteDrift(independent if run.attributes.get("oracle.decoupled") else exact, independent)


def _is_frozen(repeat: Repeat) -> bool:
    size = repeat.columns["gradient_l1"]
    return bool(np.all(np.diff(repeat.columns["k"]) == 1) and np.ptp(size) <= _MOVED * size[0])


def _frozen(run: RunRecord, repeat: Repeat, path: str) -> Frozen:
    gradient = _gradient(run, repeat)
    known = None if gradient is None else law(run, gradient)
    if gradient is None or known is None:
        raise BadInput(path, "expected a quadratic, equal |g_i| and noise with a finite law, as jobs/workers.toml has")
    columns = {name: column[:-1] for name, column in repeat.columns.items()}  # the last x_k makes no step
    advantage = 2 * columns["agreement"] - 1
    if run.attributes["zeros"] == "exact":  # else a tie has been decided by then
        advantage = advantage + columns["ties"] / len(gradient)
    drift = columns["scale"] * advantage / known.norm
    return Frozen(run, gradient, advantage, drift, known, theory(run, gradient, known))


def _gradient(run: RunRecord, repeat: Repeat) -> np.ndarray | None:
    """The gradient at the start, as the file's settings have it; None when the |g_i| are not all equal."""
    eigenvalues, points = run.attributes.get("problem.eigenvalues"), run.attributes.get("start.x")
    if eigenvalues is None or points is None:
        return None
    starts = np.atleast_2d(points)
    gradient = eigenvalues * starts[repeat.number % len(starts)]
    return gradient if np.ptp(np.abs(gradient)) <= _MOVED * np.abs(gradient).max() else None
