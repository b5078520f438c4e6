"""The update rules of the paper: what a worker sends, and what every rank does with the reply.

A method is pure: it knows neither the problem, nor the step rule, nor how messages meet. To add one, write a
class with `encode` (if it sends something else than its gradient) and `step`, and name it in METHODS.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np

from mpisign.arrays import Floats
from mpisign.messages import Message, Zeros
from mpisign.registry import Registry
from mpisign.settings import settings


class Method(ABC):
    """An update rule.

    message: "signs" (a sign a coordinate and a number come and go; the reply is the majority vote and the
    mean number) or "dense" (float64 vectors and a number; the reply holds their means).
    zeros: what a zero sign and a tied vote become; see `mpisign.messages.Zeros`.
    """

    message: ClassVar[Literal["signs", "dense"]]
    zeros: Zeros = "exact"

    def memory(self, dimension: int) -> Floats:
        """What one worker, or everyone together, keeps from one iteration to the next: zeros at the start."""
        return np.zeros(0)

    def shared(self, dimension: int) -> Floats:
        """What all ranks keep, the same everywhere."""
        return np.zeros(0)

    def query(self, x: Floats, memory: Floats) -> Floats:
        """Where the worker asks for its gradient; shape (d,)."""
        return x

    def encode(self, gradient: Floats, alpha: float, memory: Floats, message: Message) -> None:
        """Put what the worker sends into `message`; `gradient`, shape (d,), may be overwritten."""
        message.put(gradient)

    @abstractmethod
    def step(self, x: Floats, alpha: float, reply: Message, shared: Floats) -> None:
        """x_k -> x_{k+1} in place, shape (d,); every rank does the same."""


@settings
class GD(Method):
    """x <- x - alpha (mean of the workers' gradients): GD, and SGD with a stochastic oracle"""

    message: ClassVar[Literal["dense"]] = "dense"

    def step(self, x: Floats, alpha: float, reply: Message, shared: Floats) -> None:
        reply.subtract_from(x, alpha)


@settings
class Sign(Method):
    """x <- x - alpha vote: SIGNGD (2), SIGNSGD (3), and its majority vote"""

    message: ClassVar[Literal["signs"]] = "signs"
    zeros: Zeros = "exact"

    def step(self, x: Floats, alpha: float, reply: Message, shared: Floats) -> None:
        reply.subtract_from(x, alpha)


@settings
class ScaledSign(Method):
    """x <- x - alpha M_k vote: scaled SIGNGD (14), SIGNSGD (15) and Algorithm 3

    M_k is the mean of the workers' ||g||_1 (scale "l1", as printed) or of ||g||_1 / d ("mean", Remark 4).
    """

    message: ClassVar[Literal["signs"]] = "signs"
    zeros: Zeros = "exact"
    scale: Literal["l1", "mean"] = "l1"

    def step(self, x: Floats, alpha: float, reply: Message, shared: Floats) -> None:
        scale = reply.number if self.scale == "l1" else reply.number / len(x)
        reply.subtract_from(x, alpha * scale)


METHODS: Registry[Method] = Registry("methods", gd=GD, sign=Sign, scaled_sign=ScaledSign)
