"""Experiments made of objects: each object becomes the table that a job file has for it.

So an experiment from Python is checked as a job file is, can be written as one, and has the same trajectories.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import tomli_w

from mpisign.config.document import Table
from mpisign.config.registry import Registry
from mpisign.config.validation import InputError, refuse_unknown

_GIVEN = ("share",)
"""Arguments of a maker that no job file holds: planning gives them."""


class Described:
    """A kind by its name, and its settings; it is made only when a run is planned, such as a problem with its data."""

    def __init__(self, registry: Registry[Any], name: str, settings: Mapping[str, object]):
        known = [key for key in inspect.signature(registry[name]).parameters if key not in _GIVEN]
        refuse_unknown(settings, known, "", name)
        self.name, self.settings = name, {key: value for key, value in settings.items() if value is not None}

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.settings.items())})"


def describer(registry: Registry[Any], name: str) -> Callable[..., Described]:
    """Return a function of a kind's settings that describes it, with the signature and the docstring of its maker."""
    maker = registry[name]

    def describe(**settings: object) -> Described:
        return Described(registry, name, settings)

    signature = inspect.signature(maker)
    parameters = [each for each in signature.parameters.values() if each.name not in _GIVEN]
    describe.__signature__ = signature.replace(parameters=parameters, return_annotation=Described)  # type: ignore[attr-defined]
    describe.__doc__, describe.__name__ = inspect.getdoc(maker), name.replace("-", "_")
    return describe


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
        found = f"the class {thing.__name__}; make one of it" if isinstance(thing, type) else type(thing).__name__
        raise InputError(key, f"expected a {registry.base.__name__}, got {found}")
    return {kind: _name_of(type(thing), registry, key), **_settings_of(thing, key)}


def toml(document: Table, key: str = "") -> str:
    """Return a document as TOML; raise InputError where it holds what TOML cannot, such as an array."""
    try:
        return tomli_w.dumps(_plain(document))
    except (TypeError, ValueError) as error:
        raise InputError(key, f"cannot be written in a job file: {error}") from None


def _plain(value: Any) -> Any:
    """Return tables, lists and numbers of numpy and others as Python's own."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items() if each is not None}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _name_of(maker: type[object], registry: Registry[Any], key: str) -> str:
    """Return the name of a kind: its key in the registry, or else package.module:Name."""
    for name in registry:
        if registry.built_in(name) is maker:
            return name
    if "<locals>" in maker.__qualname__:
        raise InputError(key, f"expected a class of a module: {maker.__qualname__} is defined inside a function")
    return f"{maker.__module__}:{maker.__qualname__}"


def known_settings(thing: object) -> bool:
    """Return whether an object can be made again from what a job file says: it is decorated with `settings`, or plain.

    Another one has attributes that nothing tells apart from its defaults.
    """
    return is_dataclass(thing) or not (inspect.signature(type(thing)).parameters or vars(thing))


def _settings_of(thing: object, key: str) -> Table:
    """Return the settings of an object, as far as they are set; raise InputError where they are not known."""
    if not known_settings(thing):
        what = "its settings are not known; decorate the class with mpisign.settings"
        raise InputError(key, f"{type(thing).__name__} cannot be written in a job file: {what}")
    found = {field.name: getattr(thing, field.name) for field in fields(thing)} if is_dataclass(thing) else {}
    return {name: value for name, value in found.items() if value is not None}
