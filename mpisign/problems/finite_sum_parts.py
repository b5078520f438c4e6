"""Gradients of finite sums, put together from parts that run plain or compiled."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mpisign.arrays import Floats, Indices
from mpisign.compiled.text import Part, composed


class _Terms(NamedTuple):
    """The parameters of the regulariser and of the loss."""

    regulariser: Any
    rows: Any


def _sum_of(regulariser: Callable[..., None], loss: Callable[..., None]) -> Callable[..., None]:
    def minibatch(p: _Terms, x: Floats, samples: Indices, out: Floats) -> None:
        regulariser(p.regulariser, x, out)
        loss(p.rows, x, samples, out)

    return minibatch


class _Whole(NamedTuple):
    """The parameters of a mini-batch, and the numbers of all data points."""

    minibatch: Any
    everyone: Indices


def _of_everyone(minibatch: Callable[..., None]) -> Callable[..., None]:
    def gradient(p: _Whole, x: Floats, out: Floats) -> None:
        minibatch(p.minibatch, x, p.everyone, out)

    return gradient


def loss_and_regulariser(loss: Part, regulariser: Part) -> Part:
    """Return the gradient of both at some samples: text(parameters, x, samples, out)."""
    return composed(_sum_of, _Terms(regulariser.parameters, loss.parameters), regulariser, loss)


def all_samples(minibatch: Part, everyone: Indices) -> Part:
    """Return the gradient of a mini-batch at all samples: text(parameters, x, out)."""
    return composed(_of_everyone, _Whole(minibatch.parameters, everyone), minibatch)


def loss_and_pull(margins: Floats) -> tuple[Floats, Floats]:
    """Return log(1 + exp(-m)) and 1 / (1 + exp(m)) from one exp(-|m|), which does not overflow."""
    small = np.exp(-np.abs(margins))
    return np.maximum(-margins, 0.0) + np.log1p(small), np.where(margins >= 0, small, 1.0) / (1.0 + small)
