"""The update rules of the paper: what a worker sends, and what every rank does with the reply.

It knows neither the problem, nor the step rule, nor how messages travel. To add one, write a class with `step`,
and `encode` if it sends something else than its gradient, and name it in METHODS.
"""

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from mpisign.aggregation.messages import Message, Zeros
from mpisign.algorithms.adagrad import common_unit, squares_of, step_over_b, unit
from mpisign.arrays import Floats
from mpisign.config.registry import Registry
from mpisign.config.validation import BelowOne, NonNegative, settings
from mpisign.fixed_order import peak, squares


class Method(ABC):
    """An update rule.

    Attributes:
        message: What workers send and what comes back. "signs": a sign a coordinate and a number; the reply is the
            majority vote and the mean number. "scaled-signs": the same comes in; the reply is the mean of signs times
            number. "dense": float64 vectors and a number; the reply holds their means.
        zeros: What a zero sign and a tied vote become: "exact" 0, as in the paper (a second plane travels when it is
            needed); "coin" a keyed fair coin, which has the same expectation; "plus" +1.
        quadratic: Whether the mean of the numbers is the root of the mean of their squares.
        only_subtracts: Whether `step` does nothing to x but one reply.subtract_from. That alone can be cut into shares,
            where the ranks of a node have one x in common; a subclass that writes a step of its own says it again.
        compilable: Whether numba gives `query`, `encode` and `step`, of the settings alone, the same bits; as above.
    """

    message: ClassVar[Literal["signs", "scaled-signs", "dense"]]
    quadratic: ClassVar[bool] = False
    only_subtracts: ClassVar[bool] = False
    compilable: ClassVar[bool] = False
    zeros: Zeros = "exact"

    def memory(self, dimension: int) -> Floats:
        """Return what a worker keeps from one iteration to the next, as it is at the start: float64, of any one shape.

        `encode` changes it in place. A resumed run has nothing else of a worker.
        """
        return np.zeros(0)

    def shared(self, dimension: int) -> Floats:
        """Return what all ranks keep, as it is at the start: float64, of any shape, changed in place by `step`."""
        return np.zeros(0)

    def query(self, x: Floats, memory: Floats) -> Floats:
        """Return where the worker asks for its gradient; shape (d,)."""
        return x

    def encode(self, gradient: Floats, alpha: float, memory: Floats, message: Message) -> None:
        """Put what the worker sends into `message`; `gradient`, shape (d,), may be overwritten."""
        message.put(gradient)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # What is inherited may be so; another one need not.
        for name, of in (("only_subtracts", {"step"}), ("compilable", {"query", "encode", "step"})):
            if of & vars(cls).keys() and name not in vars(cls):
                setattr(cls, name, False)

    @abstractmethod
    def step(self, x: Floats, alpha: float, reply: Message, shared: Floats) -> None:
        """Step x_k -> x_{k+1} in place, shape (d,), float64.

        Anything may be done to x here, and only here: `query`, a problem and an oracle read it. It has to follow from
        the arguments, which are the same on every rank; what is to be remembered is in `shared`, changed in place.
        """


@settings
class GD(Method):
    """x <- x - alpha (mean of the workers' gradients): GD, and SGD with a stochastic oracle."""

    message: ClassVar[Literal["dense"]] = "dense"
    only_subtracts: ClassVar[bool] = True
    compilable: ClassVar[bool] = True

    @override
    def step(self, x: Floats, alpha: float, reply: Message, shared: Floats) -> None:
        reply.subtract_from(x, alpha)


@settings
class Sign(Method):
    """x <- x - alpha vote: SIGNGD (2), SIGNSGD (3), and its majority vote."""

    message: ClassVar[Literal["signs"]] = "signs"
    only_subtracts: ClassVar[bool] = True
    compilable: ClassVar[bool] = True
    zeros: Zeros = "exact"

    @override
    def step(self, x: Floats, alpha: float, reply: Message, shared: Floats) -> None:
        reply.subtract_from(x, alpha)


@settings
class ScaledSign(Method):
    """x <- x - alpha M_k vote: scaled SIGNGD (14), SIGNSGD (15) and Algorithm 3.

    M_k is the mean of the workers' ||g||_1, or of ||g||_1 / d.

    Attributes:
        scale: "l1": ||g||_1, as printed; "mean": ||g||_1 / d (Remark 4).
    """

    message: ClassVar[Literal["signs"]] = "signs"
    only_subtracts: ClassVar[bool] = True
    compilable: ClassVar[bool] = True
    zeros: Zeros = "exact"
    scale: Literal["l1", "mean"] = "l1"

    @override
    def step(self, x: Floats, alpha: float, reply: Message, shared: Floats) -> None:
        scale = reply.number if self.scale == "l1" else reply.number / len(x)
        reply.subtract_from(x, alpha * scale)


@settings
class Signum(Method):
    """x <- x - alpha vote of sign(m), m <- beta m + (1 - beta) g, m = 0 at first: SIGNUM, SIGNGDM and SIGNSGDM.

    Attributes:
        beta: The share of m that is kept in an iteration.
    """

    message: ClassVar[Literal["signs"]] = "signs"
    only_subtracts: ClassVar[bool] = True
    compilable: ClassVar[bool] = True
    zeros: Zeros = "exact"
    beta: BelowOne = 0.9

    @override
    def memory(self, dimension: int) -> Floats:
        return np.zeros(dimension)

    @override
    def encode(self, gradient: Floats, alpha: float, memory: Floats, message: Message) -> None:
        memory *= self.beta
        gradient *= 1 - self.beta
        memory += gradient
        message.put(memory)

    @override
    def step(self, x: Floats, alpha: float, reply: Message, shared: Floats) -> None:
        reply.subtract_from(x, alpha)


@settings
class EFSign(Method):
    """x <- x - mean of (||p||_1 / d) sign(p), p = alpha g + e, e <- p - what was sent: EF-SIGNGD (12).

    Each worker keeps its own error e; alpha is the paper's lambda. Signs and a scale go up, the dense mean comes back.
    """

    message: ClassVar[Literal["scaled-signs"]] = "scaled-signs"
    only_subtracts: ClassVar[bool] = True
    compilable: ClassVar[bool] = True
    zeros: Zeros = "exact"

    @override
    def memory(self, dimension: int) -> Floats:
        return np.zeros((1, dimension))

    @override
    def encode(self, gradient: Floats, alpha: float, memory: Floats, message: Message) -> None:
        error = memory[0]
        gradient *= alpha
        error += gradient
        message.put(error)
        message.number /= len(error)
        message.subtract_from(error, message.number)

    @override
    def step(self, x: Floats, alpha: float, reply: Message, shared: Floats) -> None:
        reply.subtract_from(x, 1.0)


@settings
class EFSignShifted(EFSign):
    """(12) with the gradient asked at x - e: (13), for which x - e moves as GD does, for one worker.

    Several ask each at x less its own error.
    """

    compilable: ClassVar[bool] = True

    @override
    def memory(self, dimension: int) -> Floats:
        return np.zeros((2, dimension))  # e, and room for x - e

    @override
    def query(self, x: Floats, memory: Floats) -> Floats:
        shifted: Floats = memory[1]
        np.subtract(x, memory[0], shifted)
        return shifted


@settings
class AdaGradNorm(Method):
    """b^2 <- b^2 + ||g||^2, x <- x - (alpha / b) g, g the mean of the workers' gradients: AdaGrad-Norm (5).

    alpha is the paper's eta; b starts at b0. Where b is 0 so is g, and x stays.

    Attributes:
        b0: b before the first iteration.
    """

    message: ClassVar[Literal["dense"]] = "dense"
    only_subtracts: ClassVar[bool] = True
    compilable: ClassVar[bool] = True
    b0: NonNegative = 0.0

    @override
    def shared(self, dimension: int) -> Floats:
        return squares_of(self.b0)

    @override
    def step(self, x: Floats, alpha: float, reply: Message, shared: Floats) -> None:
        scale = common_unit(shared, reply.peak())
        step_over_b(x, alpha, reply, shared, scale, reply.squares(scale))


@settings
class SignAdaGradNorm(Method):
    """b^2 <- b^2 + mean of ||g||^2, x <- x - (alpha / b) vote: the first sign variant of AdaGrad-Norm (6).

    ||g|| travels, and the root of the mean of its squares comes back: squares leave float64's range.

    Attributes:
        b0: b before the first iteration.
    """

    message: ClassVar[Literal["signs"]] = "signs"
    only_subtracts: ClassVar[bool] = True
    compilable: ClassVar[bool] = True
    quadratic: ClassVar[bool] = True
    zeros: Zeros = "exact"
    b0: NonNegative = 0.0

    @override
    def shared(self, dimension: int) -> Floats:
        return squares_of(self.b0)

    @override
    def encode(self, gradient: Floats, alpha: float, memory: Floats, message: Message) -> None:
        scale = unit(peak(gradient))
        message.put(gradient, scale * math.sqrt(squares(gradient, scale)))

    @override
    def step(self, x: Floats, alpha: float, reply: Message, shared: Floats) -> None:
        scale = common_unit(shared, reply.number)
        step_over_b(x, alpha, reply, shared, scale, (reply.number / scale) * (reply.number / scale))


@settings
class SignAdaGradCount(Method):
    """b^2 <- b^2 + ||vote||^2, x <- x - (alpha / b) vote: the second sign variant of AdaGrad-Norm (9).

    Attributes:
        b0: b before the first iteration.
    """

    message: ClassVar[Literal["signs"]] = "signs"
    only_subtracts: ClassVar[bool] = True
    compilable: ClassVar[bool] = True
    zeros: Zeros = "exact"
    b0: NonNegative = 0.0

    @override
    def shared(self, dimension: int) -> Floats:
        return squares_of(self.b0)

    @override
    def step(self, x: Floats, alpha: float, reply: Message, shared: Floats) -> None:
        scale = common_unit(shared, reply.peak())
        step_over_b(x, alpha, reply, shared, scale, reply.squares(scale))


METHODS: Registry[Method] = Registry(
    "methods",
    Method,
    gd=GD,
    sign=Sign,
    scaled_sign=ScaledSign,
    signum=Signum,
    ef_sign=EFSign,
    ef_sign_shifted=EFSignShifted,
    adagrad_norm=AdaGradNorm,
    sign_adagrad_norm=SignAdaGradNorm,
    sign_adagrad_count=SignAdaGradCount,
)
