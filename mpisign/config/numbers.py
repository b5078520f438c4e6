"""Numbers of a job file: real numbers, and fractions as text, "3/43", wherever a real number may stand."""

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

_FRACTION = re.compile(r"[+-]?\d{1,300}/\d{1,300}")
_EXPONENT = re.compile(r"[eE]([+-]?\d+)$")
_LARGEST_EXPONENT = 400
"""Beyond it a number is no float either, and as a fraction it could fill the memory."""


def fraction(value: object) -> Fraction | None:
    """Return the fraction that a text such as "3/43" says; None for anything else, and for a denominator of 0."""
    if not isinstance(value, str) or not _FRACTION.fullmatch(value) or not int(value.partition("/")[2]):
        return None
    return Fraction(value)


def exactly(text: str) -> Fraction | float:
    """Return what a job file's real number says, 1/10 for 0.1; a float where it has no fraction of a sensible size."""
    exponent = _EXPONENT.search(text)
    if "n" in text or (exponent and abs(int(exponent[1])) > _LARGEST_EXPONENT):  # inf and nan have an n
        return float(text)
    return Fraction(text.replace("_", ""))


def with_numbers(maker: Callable[..., object]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return what replaces fractions by the nearest floats in the arguments of `maker`, where it takes numbers.

    Args:
        maker: A function, or a class with annotated fields or an annotated __init__.
    """
    takes = {name for name, kind in _annotations(maker).items() if _real(kind)}

    def replaced(arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {name: _nearest(value) if name in takes else value for name, value in arguments.items()}

    return replaced


def _annotations(maker: Callable[..., object]) -> dict[str, Any]:
    """Return the annotations of a maker's arguments."""
    if not isinstance(maker, type):
        return dict(getattr(maker, "__annotations__", {}))
    owners: list[object] = [*reversed(maker.__mro__), inspect.getattr_static(maker, "__init__")]
    return {name: kind for owner in owners for name, kind in getattr(owner, "__annotations__", {}).items()}


def _real(kind: Any) -> bool:
    """Return whether an annotation is of real numbers, or of lists of them."""
    parts = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Annotated:
        parts = parts[:1]
    return kind is float or any(map(_real, parts))


def _nearest(value: Any) -> Any:
    """Return a value with each fraction in it as the nearest float."""
    if isinstance(value, list):
        return [_nearest(inner) for inner in value]
    found = fraction(value)
    return value if found is None else float(found)
