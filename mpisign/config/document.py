"""The text of a job file (TOML) as tables and plain values, changed by what --set gives."""

import re
import tomllib
from collections.abc import Callable
from typing import Any

from mpisign.config.validation import InputError, shown

Table = dict[str, Any]

_DEEPEST = 32
"""How many tables and lists of a job file may lie within one another."""


def document_of(text: str, overrides: list[str], real: Callable[[str], Any] = float) -> Table:
    """Return a job file's text, changed by `overrides`, as tables and plain values; raise InputError.

    real: makes a value of what the text has for a real number.
    """
    try:
        document = tomllib.loads(text, parse_float=real)
    except (ValueError, RecursionError) as error:
        readable = isinstance(error, tomllib.TOMLDecodeError | RecursionError)
        raise InputError("", f"not valid TOML: {error if readable else 'an integer of more than 64 bits'}") from None
    for override in overrides:
        _override(document, override, real)
    _check_values(document)
    return document


def _check_values(document: Table) -> None:
    """Check every key, tables and lists included, without recursion.

    Raises InputError for what TOML's readers do not share.

    An integer has 64 bits (TOML 1.0), and so it has in the trajectory file.
    """
    left: list[tuple[str, Any, int]] = [("", document, 0)]
    while left:
        path, value, depth = left.pop()
        if depth > _DEEPEST:
            raise InputError(path, f"expected at most {_DEEPEST} tables and lists within one another")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise InputError(path, f"expected an integer of at least -2^63 and less than 2^63, got {shown(value)}")
        if isinstance(value, dict | list):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            left += [(f"{path}.{key}" if path else str(key) or '""', inner, depth + 1) for key, inner in items]


def _override(document: Table, override: str, real: Callable[[str], Any]) -> None:
    """Put the value of KEY.PATH=VALUE, read as TOML or else as a string, into the document."""
    path, equals, value = override.partition("=")
    if not equals or not path.strip():
        raise InputError("--set", f"expected KEY=VALUE such as runs.0.step.alpha=0.1, got {shown(override)}")
    node: Any = document
    *parents, last = path.strip().split(".")
    for part in parents:
        node = _child(node, part, override)
    _child(node, last, override)
    node[int(last) if isinstance(node, list) else last] = _value(value, real)


def _value(text: str, real: Callable[[str], Any]) -> Any:
    """Return a single value in TOML, or else the text itself."""
    try:
        document = tomllib.loads(f"value = {text}", parse_float=real)
    except (ValueError, RecursionError):
        document = {}
    return document["value"] if list(document) == ["value"] else text.strip()


def _child(node: Any, part: str, override: str) -> Any:
    if isinstance(node, dict):
        return node.setdefault(part, {})
    if isinstance(node, list) and re.fullmatch("[0-9]{1,9}", part) and int(part) < len(node):
        return node[int(part)]
    why = f"that list has {len(node)}, numbered from 0" if isinstance(node, list) else "what is there is no table"
    raise InputError("--set", f"{shown(override)} leads nowhere at {shown(part)}: {why}")
