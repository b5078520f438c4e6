"""The messages of `mpisign.aggregation.messages` in compiled code: what a method does with one, it does with these."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

from numba.core import types
from numba.extending import overload_method

from mpisign.aggregation import bitplanes
from mpisign.aggregation.messages import _copy_with_norm, _subtract_multiple
from mpisign.arrays import Floats
from mpisign.compiled import draws
from mpisign.compiled.records import RecordType
from mpisign.compiled.routines import caller
from mpisign.compiled.views import View
from mpisign.fixed_order import peak, squares

EXACT, COIN, PLUS = range(3)
"""The zeros policies as numbers."""
POLICIES = {"exact": EXACT, "coin": COIN, "plus": PLUS}


class SignRow(RecordType):
    """Numba's type of a message of signs; its fields are those of `SignMessage`, the coin as stream, worker and k."""


class DenseRow(RecordType):
    """Numba's type of a dense message."""


def _method(kind: Any, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function's result the method of this name; its parameters may have types of their own."""
    made: Callable[[Callable[..., Any]], Callable[..., Any]] = cast(Any, overload_method)(kind, name, strict=False)
    return made


_PLANE, _VECTOR = View(types.uint64, 1), View(types.float64, 1)
_NUMBERS = ("ternary", "dimension", "zeros", "stream", "worker", "k")
_PLANES = ("positive", "nonnegative", "coins")
SIGN_ROW = SignRow(
    "SignRow",
    {"number": types.float64, "draws": draws.KIND}
    | dict.fromkeys(_NUMBERS, types.int64)
    | dict.fromkeys(_PLANES, _PLANE),
)
DENSE_ROW = DenseRow("DenseRow", {"number": types.float64, "vector": _VECTOR})


@_method(SignRow, "put")
def _put_signs(self: Any, vector: Any, number: Any = None) -> Any:
    def put(self: Any, vector: Floats, number: Any = None) -> None:
        norm, has_zeros = bitplanes.pack(vector, self.positive)
        if number is not None:
            norm = number
        if has_zeros:
            bitplanes.pack_nonnegative(vector, self.nonnegative)
        self.apply_zero_policy(norm, has_zeros)

    return put


@_method(SignRow, "apply_zero_policy")
def _apply_zero_policy(self: Any, number: Any, has_zeros: Any) -> Any:
    def apply_zero_policy(self: Any, number: float, has_zeros: bool) -> None:
        if has_zeros and self.zeros == COIN:
            draws.coin(self.draws, self.stream, self.worker, self.k, self.coins)
            bitplanes.resolve_zeros_by_coin(self.positive, self.nonnegative, self.coins)
        elif has_zeros and self.zeros == PLUS:
            self.positive[:] = self.nonnegative
        self.ternary = 1 if has_zeros and self.zeros == EXACT else 0
        self.number = number

    return apply_zero_policy


@_method(SignRow, "subtract_from")
def _subtract_signs(self: Any, x: Any, c: Any) -> Any:
    def subtract_from(self: Any, x: Floats, c: float) -> None:
        if self.ternary != 0:
            bitplanes.subtract_nonnegative(x, c, self.positive, self.nonnegative)
        else:
            bitplanes.subtract(x, c, self.positive)

    return subtract_from


@_method(SignRow, "squares")
def _squares_of_signs(self: Any, unit: Any = 1.0) -> Any:
    def count(self: Any, unit: float = 1.0) -> float:
        zeros = bitplanes.count_zeros(self.positive, self.nonnegative) if self.ternary != 0 else 0
        return float(self.dimension - zeros) / unit / unit

    return count


@_method(SignRow, "peak")
def _peak_of_signs(self: Any) -> Any:
    return lambda self: 1.0


@_method(DenseRow, "put")
def _put_vector(self: Any, vector: Any, number: Any = None) -> Any:
    def put(self: Any, vector: Floats, number: Any = None) -> None:
        norm = _copy_with_norm(vector, self.vector)
        self.number = norm if number is None else number

    return put


@_method(DenseRow, "subtract_from")
def _subtract_vector(self: Any, x: Any, c: Any) -> Any:
    return lambda self, x, c: _subtract_multiple(x, c, self.vector)


@_method(DenseRow, "squares")
def _squares_of_vector(self: Any, unit: Any = 1.0) -> Any:
    return lambda self, unit=1.0: squares(self.vector, unit)


@_method(DenseRow, "peak")
def _peak_of_vector(self: Any) -> Any:
    return lambda self: peak(self.vector)


ASK = (types.int64, types.int64, _VECTOR, _VECTOR, types.int64, types.npy_rng, _VECTOR)
"""ask(parameters, settings, x, memory, worker, generator, gradient): where it asks, and the gradient there."""


def encode_of(message: Any) -> tuple[Any, ...]:
    """Return the types of encode(settings, gradient, alpha, memory, message)."""
    return types.int64, _VECTOR, types.float64, _VECTOR, message


def step_of(message: Any) -> tuple[Any, ...]:
    """Return the types of step(settings, x, alpha, reply, shared)."""
    return types.int64, _VECTOR, types.float64, message, _VECTOR


class Parts(NamedTuple):
    """Addresses of the routines and of their parameters."""

    ask: int
    parameters: int
    encode: int
    step: int
    settings: int


call_ask = caller(*ASK)
call_encode_signs, call_encode_dense = caller(*encode_of(SIGN_ROW)), caller(*encode_of(DENSE_ROW))
call_step_signs, call_step_dense = caller(*step_of(SIGN_ROW)), caller(*step_of(DENSE_ROW))
"""What calls a routine by its address: ask, encode and step."""
