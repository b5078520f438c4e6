"""Sparse data with the shape of rcv1.binary (Lewis, Yang, Rose, Li, JMLR 5, 2004)."""

from typing import Any

import numpy as np
import scipy.sparse
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm

from mpisign.arrays import Floats, Signs
from mpisign.data.synthetic.base import Maker
from mpisign.rng import RandomStreams, Stream

_TERMS = 74
_SHIFT = 10
_SPREAD = 0.5
_SLOPE = 10.0
_POSITIVE = 0.52
_ROWS, _MODEL, _PILOT = 0, 1, 2


class Rcv1(Maker):
    """Documents of words drawn by the Zipf-Mandelbrot law, as tf-idf rows of length 1; labels from a planted model.

    The word of rank j has a probability proportional to 1 / (j + 10), at a random column. A document's length is
    lognormal (0.5), its mean such that a row has 74 different words on average, d/4 when that is less. A value is
    (1 + log count) log(1 + 1 / share of documents with the word). P(label = +1) = 1 / (1 + exp(-10 (u - t))), u the
    row's product with a normal vector whose variances are the words' shares, so that frequent words decide. A pilot
    block gives u its variance 1, and t such that 52 % are positive.
    """

    n, d, sparse, block_rows = 20_242, 47_236, True, 4096

    def __init__(self, d: int, seed: int):
        self._d, self._seed = d, seed
        streams = RandomStreams(seed, 0).generator(Stream.DATA, worker=_MODEL, k=0)
        weights = 1 / (np.arange(1, d + 1) + _SHIFT)
        chances = np.minimum(weights / weights.sum(), 1 - 1e-9)
        self._cumulated, self._columns = np.cumsum(chances), streams.permutation(d)
        self._length = _mean_length(chances)
        share, self._rarity, self._planted = _share(chances, self._length), np.empty(d), np.empty(d)
        self._rarity[self._columns] = np.log1p(1 / share)
        self._planted[self._columns] = streams.standard_normal(d) * np.sqrt(share)
        pilot = self._documents(RandomStreams(seed, 0).generator(Stream.DATA, worker=_PILOT, k=0))
        self._planted /= max(float(self._scores(pilot).std()), 1e-6)
        scores = self._scores(pilot)
        self._threshold = brentq(
            lambda t: expit(_SLOPE * (scores - t)).mean() - _POSITIVE, scores.min() - 1, scores.max() + 1
        )

    def block(self, number: int) -> tuple[Signs, "scipy.sparse.csr_array[Any]"]:
        """Return block `number`: labels, shape (block_rows,), and features in float64."""
        streams = RandomStreams(self._seed, 0).generator(Stream.DATA, worker=_ROWS, k=number)
        features = self._documents(streams)
        positive = streams.random(self.block_rows) < expit(_SLOPE * (self._scores(features) - self._threshold))
        return np.where(positive, 1, -1).astype(np.int8), features

    def _documents(self, streams: np.random.Generator) -> "scipy.sparse.csr_array[Any]":
        lengths = self._length * np.exp(_SPREAD * streams.standard_normal(self.block_rows) - _SPREAD**2 / 2)
        owners = np.repeat(np.arange(self.block_rows), np.maximum(1, np.rint(lengths)).astype(np.int64))
        ranks = np.searchsorted(self._cumulated, self._cumulated[-1] * streams.random(owners.size), side="right")
        pairs, counts = np.unique(owners * self._d + self._columns[ranks], return_counts=True)
        rows, columns = np.divmod(pairs, self._d)
        values = (1 + np.log(counts)) * self._rarity[columns]
        values /= np.sqrt(np.bincount(rows, values**2))[rows]
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=self.block_rows))])
        return scipy.sparse.csr_array((values, columns, indptr), shape=(self.block_rows, self._d))

    def _scores(self, features: "scipy.sparse.csr_array[Any]") -> Floats:
        scores: Floats = features @ self._planted
        return scores


def _share(chances: Floats, length: float) -> Floats:
    """Return the share of documents of that length in which each word is."""
    return -np.expm1(length * np.log1p(-chances))


def _mean_length(chances: Floats) -> float:
    """The mean length with which documents have as many different words as wanted, by quadrature over the lengths."""
    factors = np.exp(_SPREAD * norm.ppf((np.arange(15) + 0.5) / 15) - _SPREAD**2 / 2)
    wanted = min(_TERMS, len(chances) / 4)

    def excess(length: float) -> float:
        return float(np.mean([_share(chances, length * factor).sum() for factor in factors]) - wanted)

    return float(brentq(excess, 1e-3, 1e6, rtol=1e-6))
