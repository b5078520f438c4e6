"""Records in memory whose fields compiled code reads and writes, by their address: nothing is counted or freed."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.registry import cpu_target
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, lower_getattr_generic, lower_setattr_generic, models, register_model

from mpisign.arrays import Words
from mpisign.compiled.parameters import layout

F = TypeVar("F", bound=Callable[..., Any])


class RecordType(types.Type):
    """Numba's type of a record; subclass it for each kind, so that it can have methods.

    Args:
        name: The kind's name.
        fields: Their names and types: numbers, one-dimensional arrays, tuples of these.
    """

    def __init__(self, name: str, fields: dict[str, Any]):
        self.fields = fields
        context = cpu_target.target_context
        sizes = [context.get_abi_sizeof(context.get_data_type(kind)) for kind in fields.values()]
        starts = np.cumsum([0, *sizes]).tolist()
        self.starts, self.size = dict(zip(fields, starts, strict=False)), starts[-1]
        super().__init__(name=f"{name}{fields}")

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        register_model(cls)(_Address)


class _Address(models.PrimitiveModel):
    """A record in registers: its address."""

    def __init__(self, manager: Any, kind: Any):
        super().__init__(manager, kind, ir.IntType(64))  # type: ignore[no-untyped-call]


@infer_getattr
class _Fields(AttributeTemplate):
    """The types of a record's fields."""

    key = RecordType

    def generic_resolve(self, kind: RecordType, name: str) -> Any:  # type: ignore[override]
        """Return the type of a field; None where it is a method's name."""
        return kind.fields.get(name)


_reads: Callable[[Any], Callable[[F], F]] = cast(Any, lower_getattr_generic)
_writes: Callable[[Any], Callable[[F], F]] = cast(Any, lower_setattr_generic)


def _place(context: Any, builder: Any, kind: RecordType, address: Any, name: str) -> Any:
    """Return the address of a field."""
    place = builder.add(address, ir.Constant(ir.IntType(64), kind.starts[name]))
    return builder.inttoptr(place, context.get_data_type(kind.fields[name]).as_pointer())


@_reads(RecordType)
def _read(context: Any, builder: Any, kind: RecordType, address: Any, name: str) -> Any:
    """Generate the load of a field."""
    return context.unpack_value(builder, kind.fields[name], _place(context, builder, kind, address, name))


@_writes(RecordType)
def _write(context: Any, builder: Any, signature: Any, arguments: Any, name: str) -> None:
    """Generate the store of a field."""
    kind = signature.args[0]
    context.pack_value(builder, kind.fields[name], arguments[1], _place(context, builder, kind, arguments[0], name))


class Record:
    """A record in memory, zero but for the fields that are given.

    Args:
        kind: Its type.
        given: Values of fields: see `mpisign.compiled.parameters.layout`.
    """

    def __init__(self, kind: RecordType, **given: object):
        self.kind, self._given = kind, given
        self._words: Words = np.zeros(kind.size // 8, dtype=np.uint64)
        for name, value in given.items():
            words = layout(value)[1]
            start = kind.starts[name] // 8
            self._words[start : start + len(words)] = words

    def words(self) -> tuple[RecordType, list[int]]:
        """Return its type and its address: what `layout` wants of it."""
        return self.kind, [self._words.ctypes.data]
