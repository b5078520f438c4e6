"""Arrays of compiled code that own nothing: it counts no references to them, which takes as long as small iterations.

Numba's own arrays count at every variable, argument and slice, also where, as here, there is nothing to free.
"""

from typing import Any, cast

from numba.core import types
from numba.core.datamodel import models
from numba.extending import lower_cast, register_model


class View(types.Array):
    """Numba's type of an array whose memory lives as long as the routine runs; its slices are views, too."""

    def __init__(self, dtype: Any, ndim: int, layout: Any = "C", readonly: bool = False, aligned: bool = True):
        name = f"{'readonly ' if readonly else ''}view({dtype}, {ndim}d, {layout}{'' if aligned else ', unaligned'})"
        super().__init__(dtype, ndim, layout, readonly, name, aligned)

    def copy(self, dtype: Any = None, ndim: Any = None, layout: Any = None, readonly: Any = None) -> Any:
        """Return the type of a slice or another view of it; where numba says `readonly`, that of a new array.

        Where it does not, and allocates all the same, it finds that it cannot allocate a view and compiles nothing.
        """
        like: Any = super().copy(dtype, ndim, layout, readonly)
        return View(like.dtype, like.ndim, like.layout, not like.mutable, like.aligned) if readonly is None else like


@register_model(View)
class _Unowned(models.ArrayModel):
    """An array in memory, as numba's own, of which nothing is counted."""

    def traverse(self, builder: Any) -> Any:
        """Return what is counted."""
        return []

    def inner_models(self) -> Any:
        """Return the models of that."""
        return []


def _as_array(context: Any, builder: Any, view: Any, array: Any, value: Any) -> Any:
    """Give a view to what takes numba's own arrays: it owns nothing there either."""
    return value


cast(Any, lower_cast)(View, types.Array)(_as_array)
