"""Experiments made of objects: each object becomes the table that a job file has for it.

So an experiment from Python is checked as a job file is, is written as one, and has the same trajectories.
"""

import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from mpisign.config.experiment import Table
from mpisign.config.registry import Registry
from mpisign.config.validation import InputError, refuse_unknown


class Described:
    """A kind and its settings, which is made only when a run is planned, such as a problem with its data."""

    def __init__(self, registry: Registry[Any], name: str, given: Mapping[str, object]):
        known = [each for each in inspect.signature(registry[name]).parameters if each not in _MADE_BY_PLANNING]
        refuse_unknown(given, known, "", name)
        self.name, self.settings = name, {key: value for key, value in given.items() if value is not None}

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.settings.items())})"


_MADE_BY_PLANNING = ("share",)
"""Arguments of a maker that no job file holds: planning gives them."""


def table_of(thing: object, registry: Registry[Any], key: str, kind: str = "kind") -> Table:
    """Return the table of a job file that makes `thing`.

    Args:
        thing: a `Described`, an object of one of the registry's kinds, or the table itself.
        registry: the kinds that it may be of.
        key: its place in the experiment, for the complaint.
        kind: the name of the key that names the kind.

    Raises:
        InputError: `thing` is none of these, or its settings cannot be read off it.
    """
    if isinstance(thing, Mapping):
        return dict(thing)
    if isinstance(thing, Described):
        return {kind: thing.name, **thing.settings}
    if not isinstance(thing, registry.base):
        raise InputError(key, f"expected a {registry.base.__name__}, got {type(thing).__name__}")
    return {kind: _name_of(type(thing), registry, key), **_settings_of(thing, key)}


def _name_of(maker: type[object], registry: Registry[Any], key: str) -> str:
    """Return the name of a kind: its key in the registry, or else package.module:Name."""
    for name in registry:
        if registry.built_in(name) is maker:
            return name
    if "<locals>" in maker.__qualname__:
        raise InputError(key, f"expected a class of a module: {maker.__qualname__} is defined inside a function")
    return f"{maker.__module__}:{maker.__qualname__}"


def _settings_of(thing: object, key: str) -> Table:
    """Return the settings of an object, as far as they are set."""
    if is_dataclass(thing):
        found = {field.name: getattr(thing, field.name) for field in fields(thing)}
        return {name: value for name, value in found.items() if value is not None}
    required = [each.name for each in inspect.signature(type(thing)).parameters.values() if each.default is each.empty]
    if required:
        what = f"its settings {', '.join(required)} are not known"
        raise InputError(key, f"{type(thing).__name__} cannot be written in a job file: {what}; see mpisign.settings")
    return {}
