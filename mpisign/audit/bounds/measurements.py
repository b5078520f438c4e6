"""Collect what a run measured, as matrices of repeats times k, and how often its signs are right at a frozen x."""

from typing import NamedTuple

import numpy as np

from mpisign.algorithms.initial_points import STARTS
from mpisign.algorithms.oracles import ORACLES
from mpisign.audit.probing import Probe, probe
from mpisign.comm.shared_arrays import unshared
from mpisign.config import experiment
from mpisign.engine.records.schedule import schedule
from mpisign.problems import PROBLEMS
from mpisign.rng import RandomStreams
from mpisign.storage.trajectory import RepeatRecord, RunRecord, Trajectory

ROUNDS = 2000
"""Rounds of stochastic gradients at one x."""


class Measurements(NamedTuple):
    """What the repeats of one run measured.

    Attributes:
        k: The schedule of records, shape (m,).
        gaps: f(x_k) - f*, shape (R, m), infinite from where a repeat diverged.
        gradients: ||g_k||_1^2, shape (R, m).
        size: |f(x_0)| of each repeat, shape (R,), the unit in which rounding is measured.
    """

    k: np.ndarray
    gaps: np.ndarray
    gradients: np.ndarray
    size: np.ndarray

    def least_gradients(self) -> np.ndarray:
        """Return the least ||g_l||_1^2 over the recorded l <= k, shape (R, m)."""
        return np.minimum.accumulate(self.gradients, axis=1)

    def least_mu(self) -> float:
        """Return the least mu_k = ||g_k||_1^2 / (2 (f(x_k) - f*)) of all records.

        It is the largest PL constant that this run allows; infinite when no record has a gap above rounding.
        """
        met = np.isfinite(self.gaps) & (self.gaps > 1e-12 * self.size[:, None])
        ratios = self.gradients / np.where(met, 2 * self.gaps, 1.0)
        return float(ratios.min(where=met, initial=np.inf))


def measured(trajectory: Trajectory, run: RunRecord) -> Measurements:
    """Return the measurements of every repeat that came to an end."""
    job = experiment.parse(trajectory.experiment, trajectory.overrides)
    earlier = next((settings.earlier for settings in job.runs if settings.label == run.label), None)
    k = schedule(job.log, int(run.attributes["iterations"]), earlier)
    ended = [repeat for repeat in run.repeats if repeat.status != "running"]
    # A rule ends repeats whose gaps are small: beyond the first such end the others' mean would be too large.
    k = k[k <= min((int(repeat.columns["k"][-1]) for repeat in ended if repeat.ended), default=k[-1])]
    gaps = np.array([_spread(repeat, run.gap(repeat), k) for repeat in ended]).reshape(-1, len(k))
    with np.errstate(over="ignore"):
        squares = np.array([_spread(repeat, repeat.columns["gradient_l1"] ** 2, k) for repeat in ended])
    size = np.array([abs(repeat.columns["value"][0]) for repeat in ended])
    return Measurements(k, gaps, squares.reshape(gaps.shape), size)


def _spread(repeat: RepeatRecord, values: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Return `values` at each scheduled k, infinite where the repeat has no record any more or a NaN."""
    out = np.full(len(k), np.inf)
    recorded = repeat.columns["k"]
    out[np.isin(k, recorded)] = values[np.isin(recorded, k)]
    return np.where(np.isnan(out), np.inf, out)


def probes(trajectory: Trajectory, run: RunRecord, level: float) -> dict[int, Probe]:
    """Probe the run's oracle at x_0 of its first repeat, and at x_k where iterates were recorded.

    Args:
        trajectory: The file, with the job in it.
        run: One run of the file.
        level: Error probability of the limits of all probabilities together.

    Returns:
        The probe at each x_k, by k.

    Raises:
        InputError: If the job's data is not there any more.
    """
    job = experiment.parse(trajectory.experiment, trajectory.overrides)
    settings = next(settings for settings in job.runs if settings.label == run.label)
    # one process probes: its data need no shared memory
    problem = PROBLEMS.make(job.problem, "problem", share=unshared)
    oracle = ORACLES.make(settings.oracle, "oracle")
    streams = RandomStreams(job.seed, run.repeats[0].number)
    points = {0: STARTS.make(job.start, "start").point(problem.dimension, streams)} | _kept(run)
    workers, each = int(run.attributes["workers"]), level / len(points)
    with np.errstate(over="ignore", invalid="ignore"):  # on its way to overflow x may be finite, and its drift not
        return {k: probe(problem, oracle, workers, x, streams, ROUNDS, each) for k, x in points.items()}


def _kept(run: RunRecord) -> dict[int, np.ndarray]:
    """Return x_k by k at a few log-spaced records of the first repeat, while finite; none if not recorded."""
    columns = run.repeats[0].columns
    if "x" not in columns:
        return {}
    records = np.unique(np.geomspace(1, len(columns["k"]), 6).astype(int)) - 1
    return {int(columns["k"][i]): columns["x"][i] for i in records if np.isfinite(columns["x"][i]).all()}
