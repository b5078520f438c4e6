"""Draw stochastic gradients at a frozen x: how often each sign is right, how large the noise is, and the drift of C1.

The trajectory does not hold them. They are drawn again at x_k where it was kept, or at x_0, which is a function of
(seed, repeat). A random stream of their own is used, so that no draw repeats one of the run.
"""

from typing import NamedTuple

import numpy as np

from mpisign.algorithms.oracles import Minibatch, Oracle
from mpisign.arrays import Floats
from mpisign.problems import Problem
from mpisign.rng import RandomStreams, Stream
from mpisign.theory.noise import sign_probability


class Probe(NamedTuple):
    """What was found at one x.

    Attributes:
        gradient: g, shape (d,).
        right: Share of draws where sign g~_i = sign g_i, shape (d,).
        low: Lower limits of that probability, shape (d,).
        high: Upper limits of that probability, shape (d,).
        drift: E[M_k g'v], v the vote with sign(0) = 0, and its standard error.
        sigma2: E ||g~ - g||_1^2, and its standard error.
        rounds: Number of rounds of M workers; 0 when everything is exact.
    """

    gradient: Floats
    right: Floats
    low: Floats
    high: Floats
    drift: tuple[float, float]
    sigma2: tuple[float, float]
    rounds: int

    def least(self) -> tuple[float, float]:
        """Return a lower and an upper limit of the least P(sign g~_i = sign g_i) over g_i != 0."""
        seen = self.gradient != 0
        return float(self.low[seen].min(initial=1.0)), float(self.high[seen].min(initial=1.0))


def probe(
    problem: Problem, oracle: Oracle, workers: int, x: Floats, streams: RandomStreams, rounds: int, level: float = 0.05
) -> Probe:
    """Probe an oracle at x: over every data point where one worker draws one of them, otherwise in random rounds.

    Args:
        problem: The problem.
        oracle: What the workers ask.
        workers: Number of workers M.
        x: The point, shape (d,).
        streams: Random numbers of the repeat.
        rounds: Number of rounds of M workers.
        level: Error probability of all limits of the d probabilities together (Clopper-Pearson, Bonferroni).
    """
    if (
        problem.samples is not None
        and workers == 1
        and oracle in (Minibatch(batch=1), Minibatch(batch=1, sampling="shard"))
    ):
        return _census(problem, problem.samples, x)
    gradient = _gradient(problem, x)
    source = oracle.plan(problem, workers)
    signs, norms, noises = (np.empty(shape) for shape in ((workers, len(x)), workers, workers))
    right, drifts, sizes = np.zeros(len(x)), np.empty(rounds), np.empty(rounds)
    out = np.empty(len(x))
    for t in range(rounds):
        for worker in range(workers):
            source(x, worker, streams.generator(Stream.PROBE, worker, t), out)
            signs[worker], norms[worker], noises[worker] = np.sign(out), np.abs(out).sum(), np.abs(out - gradient).sum()
        right += (signs == np.sign(gradient)).sum(axis=0)
        drifts[t] = norms.mean() * (gradient @ np.sign(signs.sum(axis=0)))
        sizes[t] = np.square(noises).mean()
    count = rounds * workers
    # a two-sided limit for each of the d coordinates, so that all hold together at `level`
    low, high = sign_probability(right, count, level / (2 * len(x)))
    return Probe(gradient, right / count, low, high, _mean(drifts), _mean(sizes), rounds)


def _census(problem: Problem, samples: int, x: Floats) -> Probe:
    """Return the probe of one worker with batch 1, from every data point with its weight."""
    gradient = _gradient(problem, x)
    weights = np.full(samples, 1 / samples) if problem.weights is None else problem.weights
    right, drift, sigma2 = np.zeros(len(x)), 0.0, 0.0
    out = np.empty(len(x))
    for i, weight in enumerate(weights):
        problem.minibatch(x, np.array([i]), out)
        right += weight * (np.sign(out) == np.sign(gradient))
        drift += weight * np.abs(out).sum() * (gradient @ np.sign(out))
        sigma2 += weight * np.abs(out - gradient).sum() ** 2
    return Probe(gradient, right, right, right, (float(drift), 0.0), (float(sigma2), 0.0), 0)


def _gradient(problem: Problem, x: Floats) -> Floats:
    """Return g at x, shape (d,)."""
    out = np.empty(len(x))
    problem.gradient(x, out)
    return out


def _mean(values: Floats) -> tuple[float, float]:
    """Return the mean with its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
