"""The noise of a stochastic gradient: sigma^2 of Assumption 4 and the probabilities of right signs, over all x."""

from itertools import combinations_with_replacement
from math import comb, sqrt
from typing import Literal, NamedTuple

import numpy as np
import scipy  # its parts are imported when they are used

from mpisign.arrays import Floats
from mpisign.theory.constants import Constant

_MOST_DRAWS = 10**6
"""A law of means that takes more draws than this to enumerate is not written down."""

_ROUNDING = 1e-12
"""A sum of atoms is 0 when it is this small beside the largest of them."""


class Largest(NamedTuple):
    """The most that the noise g~ - g can be, on every path: |g~_i - g_i| for each i, and ||g~ - g||_1."""

    each: tuple[float, ...]
    norm: float


class Noise(NamedTuple):
    """What is known of the noise g~ - g, the same at every x; None: nothing.

    sigma2: E ||g~ - g||_1^2 <= sigma^2 (18). p_min: the least P(sign g~_i = sign g_i) over all x and i with
    g_i != 0; p_min_literal: also over g_i = 0, where the sign is right when g~_i = 0. Both are for a g_i however
    close to 0, whether or not a run gets there. independent: whether the coordinates of the noise are. largest: the
    most that noise can be.
    """

    sigma2: Constant | None = None
    p_min: Constant | None = None
    p_min_literal: Constant | None = None
    independent: bool = False
    largest: Largest | None = None


class FiniteDistribution(NamedTuple):
    """Finitely many values of the noise: atoms, shape (n, d), with probabilities `weights`, shape (n,)."""

    atoms: Floats
    weights: Floats


def largest(atoms: Floats) -> Largest:
    """Return the most that any mean of draws from these values of the noise can be; atoms of shape (n, d)."""
    sizes = np.abs(atoms)
    return Largest(tuple(sizes.max(axis=0).tolist()), float(sizes.sum(axis=1).max()))


def known(law: FiniteDistribution) -> Noise:
    """Return everything of a finite law, exactly; its coordinates are not asked whether they are independent.

    Near g_i = 0+ a sign is wrong when the noise is negative, so that p_min = min_i min(P(c_i >= 0), P(c_i <= 0)).
    """
    atoms, weights = law
    small = _ROUNDING * np.abs(atoms).max(initial=0.0)
    above, below = weights @ (atoms >= -small), weights @ (atoms <= small)
    p_min = float(min(above.min(), below.min()))
    literal = min(p_min, float((weights @ (np.abs(atoms) <= small)).min()))
    sigma2 = float(weights @ np.square(np.abs(atoms).sum(axis=1)))
    return Noise(
        Constant(sigma2, "exact"), Constant(p_min, "exact"), Constant(literal, "exact"), largest=largest(atoms)
    )


def mean_law(law: FiniteDistribution, batch: int) -> FiniteDistribution | None:
    """Return the law of the mean of `batch` independent draws; None when it has too many atoms to be written down."""
    atoms, weights = law
    if comb(len(atoms) + batch - 1, batch) * batch > _MOST_DRAWS:
        return None
    streams = combinations_with_replacement(range(len(atoms)), batch)
    counts = np.array([np.bincount(draw, minlength=len(atoms)) for draw in streams])
    logs = (
        scipy.special.gammaln(batch + 1)
        - scipy.special.gammaln(counts + 1).sum(axis=1)
        + scipy.special.xlogy(counts, weights).sum(axis=1)
    )
    return FiniteDistribution(counts @ atoms / batch, np.exp(logs))


def limited(single: float, deviations: float, batch: int) -> Noise:
    """sigma_n^2 <= min(sigma^2, (sum_i sd_i)^2 / n) for the mean of n = `batch` i.i.d. draws.

    single: sigma^2 of one draw; deviations: sum_i sd_i. (Remark 5's sigma^2 / n is not true in the 1-norm.)
    """
    return Noise(Constant(min(single, deviations**2 / batch), "upper"))


def additive(noise: Literal["normal", "uniform", "three-point"], size: float, q: float, dimension: int) -> Noise:
    """Return what is known of additive noise with independent coordinates.

    They are N(0, size^2), uniform on [-size, size], or +-size with probability q each, else 0.

    E (sum |n_i|)^2 = d E n^2 + d (d - 1) (E|n|)^2. p_min is the infimum over g_i -> 0: 1/2, or 1 - q for three points.
    """
    absolute, square, p_min, zero = {
        "normal": (size * sqrt(2 / np.pi), size**2, 0.5, 0.0),
        "uniform": (size / 2, size**2 / 3, 0.5, 0.0),
        "three-point": (2 * q * size, 2 * q * size**2, 1 - q, 1 - 2 * q),
    }[noise]
    sigma2 = dimension * square + dimension * (dimension - 1) * absolute**2
    literal = min(p_min, zero)
    most = None if noise == "normal" else Largest((size,) * dimension, size * dimension)
    return Noise(Constant(sigma2, "exact"), Constant(p_min, "exact"), Constant(literal, "exact"), True, most)


def paired_noise(e: float, h: float, limit: float | None, dimension: int) -> Noise:
    """Return what is known of `certificates.laws.paired`: p_min = 1 - (d - 1) e at every x.

    sigma^2 only with a limit of ||g||_1. With G = ||g||_1 and m <= G/d the l1 norm of the noise is at most
    c |g_i| + G - |g_i| + r G/d where coordinate i is large, c = (1 - e)/e, r = |(2 d - 1) e - 1| h/e + (d - 1) h, and
    at most G elsewhere; the sum of squares over i is convex in g, and so largest where one |g_i| is G.
    """
    d = dimension
    p_min = Constant(1 - (d - 1) * e, "exact")
    if limit is None:
        return Noise(None, p_min, p_min)
    rest = (abs((2 * d - 1) * e - 1) * h / e + (d - 1) * h) / d
    large = ((1 - e) / e + rest) ** 2 + (d - 1) * (1 + rest) ** 2
    most = limit * (max(1.0, (1 - e) / e) + rest)
    sigma2 = Constant(limit**2 * (e * large + 1 - d * e), "upper")
    return Noise(sigma2, p_min, p_min, largest=Largest((most,) * d, most))


def sideways_noise(e: float, h: float, b: float, limit: float | None, dimension: int) -> Noise:
    """Return what is known of `certificates.laws.sideways`: p_min = 1 - e; the rest with a limit of |g_1| only."""
    p_min = Constant(1 - e, "exact")
    if limit is None:
        return Noise(None, p_min, p_min)
    right = e * (1 + h) / (1 - e)
    first = max(1 + h, right)
    most = Largest((limit * first, limit * b, *(0.0,) * (dimension - 2)), limit * max(1 + h + b, right))
    sigma2 = Constant(limit**2 * (e * (1 + h + b) ** 2 + (1 - e) * right**2), "exact")
    return Noise(sigma2, p_min, p_min, largest=most)


def sign_probability(right: Floats, streams: int, level: float) -> tuple[Floats, Floats]:
    """(low, high), Clopper and Pearson's limits, (d,) at `level`, of the probability behind `right` of `streams`."""
    wrong = streams - right
    low = np.where(right > 0, scipy.special.betaincinv(np.maximum(right, 1), wrong + 1, level), 0.0)
    high = np.where(wrong > 0, scipy.special.betaincinv(right + 1, np.maximum(wrong, 1), 1 - level), 1.0)
    return low, high


NONE = Noise(Constant(0.0, "exact"), Constant(1.0, "exact"), Constant(1.0, "exact"), independent=True)
"""The exact gradient."""
