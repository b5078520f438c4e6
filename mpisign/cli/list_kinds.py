"""List what there is to choose from in a job file, read off the registries: every kind, and its settings below it."""

import inspect
import json
import textwrap
import types
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from mpisign.aggregation.exchange_registry import EXCHANGES
from mpisign.algorithms.initial_points import STARTS
from mpisign.algorithms.methods import METHODS
from mpisign.algorithms.oracles import ORACLES
from mpisign.algorithms.step_sizes import STEPS
from mpisign.config.registry import Registry
from mpisign.config.validation import InputError
from mpisign.data.bundled import BUNDLED
from mpisign.problems import PROBLEMS

_WIDTH = 100
_TYPES = {float: "number", int: "integer", str: "text", bool: "true | false", inspect.Parameter.empty: "any value"}
AUTO = "The fastest of them on the ranks at hand, which is tried before a run."
"""What the exchange "auto" is."""

_LIMITS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def text() -> str:
    """Return every kind with the first line of its docstring, and its settings with what each may be."""
    registries: tuple[Registry[Any], ...] = (METHODS, PROBLEMS, ORACLES, STEPS, STARTS, EXCHANGES)
    width = max(len(name) for registry in registries for name in registry) + 2
    lines: list[str] = []
    for registry in registries:
        lines.append(registry.sort)
        for name, line in registry.describe():
            lines += _aligned(name, line, width)
            if registry is not EXCHANGES:  # a job names one, and gives it no settings
                lines += [each for setting in settings(registry, name) for each in _aligned("", f"  {setting}", width)]
    lines += _aligned("auto", AUTO, width)
    return "\n".join([*lines, "data sets", *(f"  {name}" for name in BUNDLED)])


def _aligned(name: str, line: str, width: int) -> list[str]:
    """Return a line below a name, wrapped beside it."""
    first, later = f"  {name:{width}}", " " * (width + 6 if line.startswith(" ") else width + 4)
    return textwrap.wrap(first + line, _WIDTH, subsequent_indent=later, break_long_words=False) or [first.rstrip()]


def settings(registry: Registry[Any], name: str) -> Iterator[str]:
    """Yield the keys that a job may give a kind, each with its values in TOML's words and its default."""
    for key, annotation, default in asked(registry, name):
        yield f"{key}: {values(annotation)} ({default_of(default)})"


def asked(registry: Registry[Any], name: str) -> Iterator[tuple[str, Any, object]]:
    """Yield the keys that a job may give a kind, each with its annotation and its default."""
    try:
        parameters = inspect.signature(registry[name]).parameters.values()
    except (InputError, ValueError):  # it cannot be imported, as its line says, or is compiled and tells nothing
        return
    for each in parameters:
        named = each.kind in (each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD)
        if named and get_origin(each.annotation) is not Callable:  # which planning gives, and no file can hold
            yield each.name, each.annotation, each.default


def default_of(default: object) -> str:
    """Return the words for a default; a parameter without one is required."""
    if default is inspect.Parameter.empty:
        return "required"
    return "optional" if default is None else f"default {json.dumps(default, default=str)}"


def values(annotation: Any) -> str:
    """Return what a setting of this type may be, in the words of a TOML file."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        limits = [f"{sign} {limit}" for each in parts[1:] for sign, limit in _limits(each)]
        return " ".join(filter(None, [values(parts[0]), " and ".join(limits)]))
    if origin is Literal:
        return " | ".join(map(json.dumps, parts))
    if origin in (Union, types.UnionType):
        return " | ".join(values(part) for part in parts if part is not type(None))
    if origin is list:
        return f"[{values(parts[0])}, ...]"
    if origin is dict:
        return "table"
    return str(_TYPES.get(annotation) or getattr(annotation, "__name__", annotation))


def _limits(said: object) -> Iterator[tuple[str, float]]:
    """Yield the signs and numbers of pydantic's Field, whose own metadata has one each."""
    for each in getattr(said, "metadata", [said]):
        yield from ((sign, limit) for key, sign in _LIMITS.items() if (limit := getattr(each, key, None)) is not None)
