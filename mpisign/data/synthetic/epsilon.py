"""Dense data with the shape of epsilon (Pascal Large Scale Learning Challenge, 2008)."""

import numpy as np
from scipy.special import expit

from mpisign.arrays import Floats, Signs
from mpisign.data.synthetic.base import Maker
from mpisign.rng import RandomStreams, Stream

_DIRECTIONS = 512
_WHITE = 0.5
_SLOPE = 5.3
_BLOCK_NUMBERS = 2**21
_ROWS, _MODEL = 0, 1


class Epsilon(Maker):
    """Correlated normal features of variance 1, then rows of length 1, and labels from a planted logistic model.

    A row is D^-1 (V diag(s) z + e sqrt(1/2)), z and e standard normal: the r = min(d, 512) columns of V are orthonormal
    and at random (QR of a normal matrix), s_i^2 is proportional to 1/i with sum d/2, so that half the variance decays
    as a power law along random directions and half is white; D makes each feature's variance 1.
    P(label = +1) = 1 / (1 + exp(-5.3 u)), u the row's product with a random vector, of variance 1: the best classifier,
    which is linear, has an accuracy of 90 %.
    """

    n, d, sparse = 400_000, 2000, False

    def __init__(self, d: int, seed: int):
        self.block_rows, self._seed, directions = max(1, _BLOCK_NUMBERS // d), seed, min(d, _DIRECTIONS)
        streams = RandomStreams(seed, 0).generator(Stream.DATA, worker=_MODEL, k=0)
        rotation = np.linalg.qr(streams.standard_normal((d, directions)))[0].T
        decay = 1.0 / np.arange(1, directions + 1)
        mixing = rotation * np.sqrt((1 - _WHITE) * d * decay / decay.sum())[:, None]
        deviations = np.sqrt((mixing**2).sum(axis=0) + _WHITE)
        mixing, white, planted = mixing / deviations, np.sqrt(_WHITE) / deviations, streams.standard_normal(d)
        deviation = np.sqrt(((mixing @ planted) ** 2).sum() + ((white * planted) ** 2).sum())
        self._planted = planted / deviation
        self._mixing, self._white = mixing.astype(np.float32), white.astype(np.float32)

    def block(self, number: int) -> tuple[Signs, Floats]:
        """Return block `number`: labels, shape (block_rows,), and features, shape (block_rows, d). Drawn in float32."""
        streams = RandomStreams(self._seed, 0).generator(Stream.DATA, worker=_ROWS, k=number)
        directions, d = self._mixing.shape
        mixed = streams.standard_normal((self.block_rows, directions), dtype=np.float32) @ self._mixing
        white = streams.standard_normal((self.block_rows, d), dtype=np.float32)
        white *= self._white
        mixed += white
        features = mixed.astype(np.float64)
        positive = streams.random(self.block_rows) < expit(_SLOPE * (features @ self._planted))
        features /= np.sqrt(np.einsum("ij,ij->i", features, features))[:, None]
        return np.where(positive, 1, -1).astype(np.int8), features
