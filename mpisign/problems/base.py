"""What a problem is to everything else: an objective whose least value is 0, unless it says how that is found."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import copy
from functools import cached_property
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np

from mpisign.arrays import Floats, Indices, Real
from mpisign.compiled.text import Part, part_of
from mpisign.config.validation import InputError
from mpisign.problems.distributed_objective import Objective
from mpisign.theory.constants import Constant
from mpisign.theory.noise import Noise

P = TypeVar("P", bound="Problem")
_PARTS = {"part", "rough_part", "curvature_part", "hessian_part", "gram_part"}
"""What may be computed by several threads at once, where a problem says so."""
WriteSlice: TypeAlias = Callable[[int, Floats], None]
"""write(start, out): out[:] = the coordinates from `start` on of a vector; shape (m,)."""


class Minimum(NamedTuple):
    """A value with |value - f*| <= error.

    The error is ||g||^2 / (2 mu) at the point found with a limit for the rounding of its value; where f is not convex,
    it comes from a lower limit of f.
    """

    value: float
    error: float


class Problem(ABC):
    """An objective f on R^d.

    dimension: d. samples: n, the data points, or None. weights: their probabilities, shape (n,), None where all are
    the same. segments: into how many fixed parts f is split when it is evaluated, whatever the number of ranks: f(x)
    is the sum of its parts in their order. variant: what tells f from others of its class on the same data. defaults:
    what its settings are that a job leaves out, where that is no default of an argument; for the trajectory file.

    minimum_value: f*, where it is known exactly. real: what x and gradients consist of.

    To add one, write `value` and `gradient`, and `minimum_value` or `minimum`; without them f* is taken to be 0, and a
    run says so. All is float64.
    Steps are made with `gradient` and `minibatch`, records with `part`: whoever overrides `part`, for many points or on
    many ranks at once, gives the same f and gradient as the others, but for rounding.
    """

    dimension: int
    samples: int | None = None
    weights: Floats | None = None
    segments: int = 1
    variant: str = ""
    defaults: Mapping[str, object] = {}
    minimum_value: float | None = None
    real: Real = np.float64

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in ("gradient", "minibatch"):  # one that is written anew is not what the inherited text says
            if name in vars(cls) and f"{name}_part" not in vars(cls):
                setattr(cls, f"{name}_part", vars(Problem)[f"{name}_part"])
        for name in ("rounded", "has_slices"):  # what is inherited knows nothing of it
            if {"gradient", "minibatch"} & vars(cls).keys() and name not in vars(cls):
                setattr(cls, name, vars(Problem)[name])
        if _PARTS & vars(cls).keys() and "large_parts" not in vars(cls):  # nor of threads
            cls.large_parts = Problem.large_parts  # type: ignore[method-assign]

    @abstractmethod
    def value(self, x: Floats) -> float:
        """Return f(x), of x of shape (d,)."""

    @abstractmethod
    def gradient(self, x: Floats, out: Floats) -> None:
        """Write out[:] = the gradient at x; shapes (d,)."""

    def minibatch(self, x: Floats, samples: Indices, out: Floats) -> None:
        """Write out[:] = the mean gradient of the data points numbered `samples`, with the regulariser's."""
        lacks = "has no data points" if self.samples is None else "has data points, and no minibatch"
        raise InputError("kind", f"{type(self).__name__} {lacks}")

    def gradient_part(self) -> Part:
        """Return `gradient` as a text(parameters, x, out), which may run compiled."""
        return part_of(self.gradient)

    def minibatch_part(self) -> Part:
        """Return `minibatch` as a text(parameters, x, samples, out), which may run compiled."""
        return part_of(self.minibatch)

    @property
    def has_slices(self) -> bool:
        """Return whether gradients can be made slice by slice, with the same bits."""
        return False

    def gradient_slices(self, x: Floats) -> WriteSlice:
        """Return what writes `gradient`, any slice by itself, several at the same time, while x stays as it is."""
        raise NotImplementedError

    def minibatch_slices(self, x: Floats, samples: Indices) -> WriteSlice:
        """Return the same of `minibatch`; only of a problem with `samples`."""
        raise NotImplementedError

    def rounded(self) -> "Problem":
        """Return the same problem for x and gradients in float32, which take part in no evaluation of f.

        Its `gradient` and `minibatch`, and their parts, have float32 arguments. Raises InputError, with the key
        "precision", where there is no such thing.
        """
        raise InputError("precision", f'expected "float64": {type(self).__name__} has no gradient in float32')

    @cached_property
    def in_float32(self) -> "Problem":
        """Return what `rounded` makes, once for all runs."""
        made = self.rounded()
        made.real = np.float32
        return made

    def noise(self, batch: int) -> Noise:
        """Return what is known of the noise of `batch` data points, drawn with replacement."""
        return Noise()

    def part(self, points: Floats, segment: int, out: Floats) -> None:
        """Write out[i] = the part `segment` of (f, gradient) at points[i]; shapes (r, d) and (r, 1 + d)."""
        for point, row in zip(points, out, strict=True):
            row[0] = self.value(point)
            self.gradient(point, row[1:])

    @property
    def large_parts(self) -> bool:
        """Return whether a part is worth a thread of its own, and different parts may be computed at the same time."""
        return False

    @property
    def has_rough_part(self) -> bool:
        """Return whether `rough_part` is there, and takes much less time than `part`."""
        return False

    def rough_part(self, points: Floats, segment: int, out: Floats) -> None:
        """Write `part` by quicker arithmetic to out[:, :-2], and limits of its errors to out[:, -2:]; shape (r, 3 + d).

        The limits are those of f, and of the l1 norm of the gradient's error.
        """
        raise NotImplementedError

    def data_sha256(self) -> str:
        """Return the sha256 of the data as it is used, or "" where there is none."""
        return ""

    def curvature_part(self, x: Floats, direction: Floats, segment: int, out: Floats) -> None:
        """Write out[:] = the part `segment` of the Hessian at x times `direction`; shapes (d,)."""
        raise NotImplementedError

    def hessian_part(self, x: Floats, rows: slice, segment: int, out: Floats) -> None:
        """Write out[:] = these rows of the part `segment` of the Hessian at x, from column rows.start on at least.

        Shape (r, d).
        """
        raise NotImplementedError

    def gram_part(self, rows: slice, segment: int, out: Floats) -> None:
        """Write out[:] = these rows of the part `segment` of the sum of c c' over the rows c of the data, nearly.

        Shape (r, d), from column rows.start on at least.
        """
        raise NotImplementedError

    def minimum(self, objective: Objective) -> Minimum:
        """Return f* with a certified error, by `objective` where it has to be solved; on the root.

        Here that is `minimum_value`, exactly, or 0 where that is not known.
        """
        return Minimum(self.minimum_value or 0.0, 0.0)

    @property
    def says_minimum(self) -> bool:
        """Return whether this problem says what f* is."""
        return self.minimum_value is not None or type(self).minimum is not Problem.minimum

    def constants(self, objective: Objective) -> dict[str, Constant]:
        """Return L and mu with respect to the infinity norm (Assumptions 1 and 3), as far as they are known.

        On the root.

        L_lower: a lower limit beside an upper one. mu_PL: Assumption 2's, where there is no mu. mu_at_minimum: that of
        the Hessian at x* alone.
        """
        return {}


def finite_vector(values: object, key: str) -> Floats:
    """Return a float64 array of finite numbers, or InputError that names `key`."""
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise InputError(key, "expected finite numbers, found a NaN or an infinity")
    return array


def of_coordinates(write: Callable[[slice, Floats], object]) -> WriteSlice:
    """Return slices of a vector each coordinate of which is made by itself: by write(coordinates, out)."""

    def write_from(start: int, out: Floats) -> None:
        write(slice(start, start + len(out)), out)

    return write_from


def with_rounded(problem: P, **arrays: Floats) -> P:
    """Return a copy of a problem with these attributes rounded to float32; InputError where they overflow there."""
    made = copy(problem)
    for name, array in arrays.items():
        setattr(made, name, to_float32(array))
    return made


def to_float32(array: Floats) -> Floats:
    """Return an array in float32, itself if it is; InputError where a number is beyond float32's largest."""
    with np.errstate(over="ignore"):
        found: Floats = array.astype(np.float32, copy=False)
    if not np.isfinite(found).all():
        raise InputError(
            "precision", 'expected "float64": the problem has numbers beyond 3.4e38, the largest of float32'
        )
    return found
