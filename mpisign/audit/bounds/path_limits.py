"""Derive what the gap of a run on a quadratic cannot exceed, on any path, where the noise has a limit.

f = x'Hx/2, f* = 0, g = Hx. With n_i the largest |g~_i - g_i| and N the largest ||g~ - g||_1, whatever the workers draw:
M_k <= ||g||_1 + N. Where |g_i| > n_i every worker's sign is right, and so is the vote; M_k >= |g_i| - n_i then. Where
H is diagonal, |g_i| therefore is at most G_i, from its value at x_0 on, by

    G_i <- max{G_i - alpha_k lambda_i (G_i - n_i)_+, min{G_i, n_i} + alpha_k lambda_i (sum_j G_j + N)},

where the second term also covers a right step that overshoots, and the gap is at most sum_i G_i^2 / (2 lambda_i). For
any H, s = sqrt(x'Hx) rises by at most alpha_k M_k sqrt(L), since v'Hv <= L for the vote v, and ||g||_1 <= sqrt(L) s:

    s <- s + alpha_k sqrt(L) (sqrt(L) s + N),

which grows, and serves short runs. Both hold for any number of workers, and for a norm from second draws.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from mpisign.algorithms.initial_points import STARTS
from mpisign.algorithms.oracles import ORACLES
from mpisign.arrays import Floats, Indices
from mpisign.audit.bounds.hypotheses import Hypotheses
from mpisign.comm.shared_arrays import unshared
from mpisign.config import experiment
from mpisign.problems import PROBLEMS
from mpisign.rng import RandomStreams
from mpisign.storage.trajectory import RunRecord, Trajectory
from mpisign.theory.noise import Largest

StepSizes: TypeAlias = Callable[[int], float]
"""k -> alpha_k, which multiplies the l1 norm."""
QUADRATICS = ("separable", "quadratic", "finite-quadratic")
MOST_WORK = 3 * 10**8
"""Coordinates of all starts times iterations, beyond which no limit is derived: some seconds for each run."""
ROUNDING = 1e-9
"""What rounding along a run may add, relative to the gap."""


def largest_gaps(trajectory: Trajectory, run: RunRecord, given: Hypotheses, k: Indices) -> Floats | None:
    """Return what the gap at x_k cannot exceed in each repeat that has ended, or None where that is not derived.

    Args:
        trajectory: The file, with the job in it.
        run: One run of the file.
        given: Its hypotheses.
        k: Increasing, shape (m,).

    Returns:
        Shape (R, m).
    """
    alpha = _step_sizes(given)
    if run.attributes["problem.kind"] not in QUADRATICS or alpha is None or given.broken.startswith("Assumption 4"):
        return None
    job = experiment.parse(trajectory.experiment, trajectory.overrides)
    largest = _largest_noise(job, run)
    if largest is None:
        return None
    # one x_0 of many repeats is followed once
    different, where = np.unique(_starts(job, run), axis=0, return_inverse=True)
    # an iteration of few numbers takes as long as one of a thousand
    if k[-1] * (1000 + different.size) > MOST_WORK:
        return None
    limits = any_quadratic(_hessian(run), different, largest.norm, float(run.attributes["L"]), alpha, k)
    if (diagonal := run.attributes.get("problem.eigenvalues")) is not None:
        limits = np.minimum(limits, separable(np.asarray(diagonal, dtype=np.float64), different, largest, alpha, k))
    widened: Floats = limits[where.reshape(-1)] * (1 + ROUNDING)
    return widened


def _largest_noise(job: experiment.Experiment, run: RunRecord) -> Largest | None:
    """Return the most that the noise of a run can be, as its oracle says."""
    settings = next(settings for settings in job.runs if settings.label == run.label)
    problem = PROBLEMS.make(job.problem, "problem", share=unshared)
    return ORACLES.make(settings.oracle, "oracle").assumption4(problem).largest


def _starts(job: experiment.Experiment, run: RunRecord) -> Floats:
    """Return x_0 of each repeat that has ended, shape (R, d)."""
    start, dimension = STARTS.make(job.start, "start"), int(run.attributes["dimension"])
    numbers = [repeat.number for repeat in run.repeats if repeat.status != "running"]
    return np.array([start.point(dimension, RandomStreams(job.seed, number)) for number in numbers])


def separable(eigenvalues: Floats, starts: Floats, largest: Largest, alpha: StepSizes, k: Indices) -> Floats:
    """Return limits of f(x_k) - f* for a diagonal H.

    Args:
        eigenvalues: Those of H, shape (d,).
        starts: The x_0, shape (n, d).
        largest: The most that noise can be.
        alpha: The step size at each k.
        k: Increasing, shape (m,).

    Returns:
        Shape (n, m).
    """
    curved = eigenvalues > 0
    scale, noise = eigenvalues[curved], np.array(largest.each)[curved]
    gradient: Floats = scale * np.abs(starts[:, curved])
    found: list[Floats] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for i in range(k[-1] + 1):
            if i == k[len(found)]:
                found.append((gradient**2 / (2 * scale)).sum(axis=1))
            step = alpha(i) * scale
            away = np.minimum(gradient, noise) + step * (gradient.sum(axis=1, keepdims=True) + largest.norm)
            gradient = np.maximum(gradient - step * np.maximum(gradient - noise, 0), away)
    return _finite(np.array(found).T)


def any_quadratic(hessian: Floats, starts: Floats, noise: float, L: float, alpha: StepSizes, k: Indices) -> Floats:
    """Return limits of f(x_k) - f* for any H.

    Args:
        hessian: H, shape (d, d).
        starts: The x_0, shape (n, d).
        noise: The largest ||g~ - g||_1.
        L: Smoothness constant, or an upper limit of it.
        alpha: The step size at each k.
        k: Increasing, shape (m,).

    Returns:
        Shape (n, m).
    """
    root = np.sqrt(np.maximum(((starts @ hessian) * starts).sum(axis=1), 0))
    found: list[Floats] = []
    with np.errstate(over="ignore"):
        for i in range(k[-1] + 1):
            if i == k[len(found)]:
                found.append(root**2 / 2)
            root = root + alpha(i) * np.sqrt(L) * (np.sqrt(L) * root + noise)
    return _finite(np.array(found).T)


def _finite(limits: Floats) -> Floats:
    """Return the limits with infinity for a NaN."""
    return np.nan_to_num(limits, nan=np.inf, posinf=np.inf)


def _step_sizes(given: Hypotheses) -> StepSizes | None:
    """Return the step size, which multiplies the l1 norm, at each k; None where it is neither constant nor harmonic."""
    if given.alpha is not None:
        alpha = given.alpha
        return lambda k: alpha
    if given.harmonic is not None:
        c, k0 = given.harmonic
        return lambda k: c / (k + k0)
    return None


def _hessian(run: RunRecord) -> Floats:
    """Return H of a run on a quadratic."""
    matrix = run.attributes.get("problem.matrix")
    return np.diag(run.attributes["problem.eigenvalues"]) if matrix is None else np.asarray(matrix, dtype=np.float64)
