"""Read runs at a frozen x, where every k is one more draw: what the vote did each time, and what theory says of it."""

from typing import Any, NamedTuple

import numpy as np

from mpisign.config.validation import InputError
from mpisign.storage.trajectory import RepeatRecord, RunRecord, Trajectory
from mpisign.theory.noise import FiniteDistribution, mean_law
from mpisign.theory.vote_moments import Moments, VoteDrift, moments, three_point, vote_drift

_MOVED = 1e-6
"""Part of the largest |x_i| by which an x_i may move while x counts as frozen."""


class Frozen(NamedTuple):
    """One repeat at a frozen x.

    Attributes:
        run: The run of the repeat.
        gradient: g, shape (d,).
        advantage: Mean over i of sign(g_i) vote_i at each k, shape (n,).
        drift: M_k g'v / (||g||_1 E N) at each k, shape (n,).
        known: Moments of a worker's g~.
        theory: The drift E[M_k g'v] over ||g||_1 E N.
    """

    run: RunRecord
    gradient: np.ndarray
    advantage: np.ndarray
    drift: np.ndarray
    known: Moments
    theory: VoteDrift


def frozen(trajectory: Trajectory) -> list[Frozen]:
    """Return every complete repeat of every run, in the order of the file.

    Raises:
        InputError: If there is none, or one is not at a frozen x with known moments.
    """
    found = [_frozen(run, repeat) for run in trajectory for repeat in run.finished()]
    points = [each for each in found if each is not None]
    if not points or len(points) < len(found):
        raise InputError(
            str(trajectory.path),
            "expected scaled-sign at a frozen x of a quadratic, no g_i and no g~_i of 0, noise with a finite law, and "
            "log = { every = 1, iterates = true }, as jobs/workers.toml has",
        )
    return points


def law(run: RunRecord, gradient: np.ndarray) -> Moments | None:
    """Return the moments of a worker's g~ at g; None if its law is not finite, or a coordinate of g or g~ is 0."""
    try:
        return _moments(run.attributes, gradient)
    except ValueError:  # from mpisign.theory.vote_moments, of a coordinate that is 0
        return None


def _moments(a: dict[str, Any], gradient: np.ndarray) -> Moments | None:
    """Return the moments for noise with a finite law, from the run's attributes; None for any other."""
    if a.get("oracle.noise") == "three-point":
        return three_point(gradient, size=a["oracle.size"], q=a["oracle.q"])
    if a["problem.kind"] == "finite-quadratic" and a.get("oracle.kind") == "minibatch":
        mixed = mean_law(FiniteDistribution(a["problem.atoms"], a["problem.weights"]), a["oracle.batch"])
        return mixed and moments(gradient, mixed)
    return None


def theory(run: RunRecord, gradient: np.ndarray, known: Moments) -> VoteDrift:
    """Return E[M_k g'v] over ||g||_1 E N; a decoupled norm has no covariance with the signs."""
    drift = vote_drift(gradient, known, int(run.attributes["workers"]))
    exact, independent = np.array(drift) / (np.abs(gradient).sum() * known.norm)
    return VoteDrift(independent if run.attributes.get("oracle.decoupled") else exact, independent)


def _frozen(run: RunRecord, repeat: RepeatRecord) -> Frozen | None:
    """Return a repeat at a frozen x; None when x moves or too little is known."""
    x, eigenvalues = repeat.columns.get("x"), run.attributes.get("problem.eigenvalues")
    if x is None or eigenvalues is None or not _stays(x, repeat.columns["k"]) or run.attributes.get("scale") != "l1":
        return None
    gradient = eigenvalues * x[0]
    known = law(run, gradient)
    if known is None:
        return None
    moved = np.sign(-np.diff(x, axis=0))  # the vote: x_k - x_{k+1} = alpha M_k v
    drift = repeat.columns["scale"][:-1] * (moved @ gradient) / (np.abs(gradient).sum() * known.norm)
    return Frozen(run, gradient, (moved * np.sign(gradient)).mean(axis=1), drift, known, theory(run, gradient, known))


def _stays(x: np.ndarray, k: np.ndarray) -> bool:
    """Return whether every k is recorded, and no x_i moves by more than _MOVED of the largest."""
    return len(k) > 2 and bool(np.all(np.diff(k) == 1) and np.ptp(x, axis=0).max() <= _MOVED * np.abs(x[0]).max())
