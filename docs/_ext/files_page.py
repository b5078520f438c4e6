"""Write the page on the files: names, dtypes and shapes are read from files that are written for it."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import example_files
import file_descriptions as said
import files_text as text
import h5py
import numpy as np
from docstrings import markdown, table
from example_files import Example

from mpisign.algorithms.initial_points import STARTS
from mpisign.algorithms.methods import METHODS
from mpisign.algorithms.oracles import ORACLES
from mpisign.algorithms.step_sizes import STEPS
from mpisign.cli.list_kinds import asked
from mpisign.problems import PROBLEMS
from mpisign.storage.trajectory import CLOCKS, COLUMNS

Described = Mapping[str, Mapping[str, str]]

_KINDS = {"problem": PROBLEMS, "start": STARTS, "oracle": ORACLES, "step": STEPS}
_OF_HDF5 = ("CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST")
"""Attributes by which HDF5 keeps that k is the scale of an axis."""
_FREE = ("constants", "machine")
"""Tables of a JSON file whose names are not listed."""
_JSON = {
    str: "text",
    bool: "true or false",
    int: "integer",
    float: "number",
    type(None): "null",
    list: "list",
    dict: "table",
}


class Entry(NamedTuple):
    """An attribute or a dataset, as it was found in a file."""

    place: str
    name: str
    what: str
    dtype: str
    shape: str
    unit: str
    description: str


def page() -> str:
    """Return the page.

    Raises:
        LookupError: A name in a file has no description, or a description no name.
    """
    with TemporaryDirectory() as first, TemporaryDirectory() as second:
        folder = Path(first)
        trajectories = example_files.trajectories(folder)
        found, keys = entries(trajectories), provenance_keys(trajectories)
        data = entries(example_files.data(Path(second)))
        documents = {name: walk(json.loads(path.read_text())) for name, path in example_files.documents(folder).items()}
    lines = [text.HEAD, text.TRAJECTORY, *_sections(found, said.TRAJECTORY), *_provenance(keys), text.AFTER_TRAJECTORY]
    lines += [text.DATA, *_sections(data, said.DATA)]
    for name, described in (("check", said.CHECK), ("report", said.REPORT), ("bench", said.BENCH)):
        lines += [text.DOCUMENTS[name], *_document(documents[name], described)]
    return "\n".join(lines)


def entries(examples: Iterable[Example]) -> list[Entry]:
    """Return what the files hold, each attribute and dataset once."""
    found: dict[Entry, None] = {}
    for example in examples:
        with h5py.File(example.file) as file:
            items: list[tuple[str, Any]] = [("/", file)]
            file.visititems(lambda name, item, items=items: items.append((f"/{name}", item)))
            for name, item in items:
                found |= dict.fromkeys(_of_item(name, item, example.sizes))
    return _joined(list(found))


def _joined(found: list[Entry]) -> list[Entry]:
    """Return one entry for each name; where dtypes or shapes differ between files, all are said."""
    names = dict.fromkeys((each.place, each.name, each.what) for each in found)
    return [_union([each for each in found if (each.place, each.name, each.what) == name]) for name in names]


def _union(same: list[Entry]) -> Entry:
    dtypes = sorted({each.dtype for each in same})
    shapes = sorted({each.shape for each in same})
    return same[0]._replace(dtype=" or ".join(dtypes), shape=" or ".join(shapes))


def _of_item(path: str, item: Any, sizes: Mapping[int, str]) -> Iterator[Entry]:
    """Yield the entries of a group or a dataset: itself and its attributes."""
    own = generalised(path)
    if isinstance(item, h5py.Dataset):
        place, _, name = own.rpartition("/")
        unit = str(item.attrs.get("units", ""))
        description = str(item.attrs.get("description", ""))
        yield Entry(place or "/", name, "dataset", str(item.dtype), _shape(item.shape, sizes), unit, description)
        own = f"{place}/COLUMN" if name in COLUMNS | CLOCKS and "repeats" in place else own
    for name, value in item.attrs.items():
        if name not in _OF_HDF5:
            yield Entry(own, *_attribute(own, name, value, sizes), "", "")


def generalised(path: str) -> str:
    """Return a path with LABEL for the run's label and NUMBER for the repeat's."""
    return re.sub(
        r"^(/runs/)[^/]+(/repeats/)?([0-9]+)?", lambda m: f"/runs/LABEL{m[2] or ''}{'NUMBER' * bool(m[3])}", path
    )


def _attribute(place: str, name: str, value: Any, sizes: Mapping[int, str]) -> tuple[str, str, str, str]:
    """Return name, what it is, dtype and shape of an attribute; a setting has the name KEY."""
    key = _setting(name) if place == "/runs/LABEL" else name
    if "KEY" in key:
        return key, "attribute", "as in the job", ""
    if isinstance(value, str):
        return key, "attribute", "text", ""
    array = np.asarray(value)
    return key, "attribute", str(array.dtype), _shape(array.shape, sizes)


def _setting(name: str) -> str:
    """Return a run's attribute with KEY for the name of a setting, NAME for that of a constant.

    Raises:
        LookupError: It looks like a setting, and no kind has it.
    """
    prefix, dot, key = name.partition(".")
    if prefix == "stop" and dot:
        return "stop.KEY"
    if dot:
        if key != "kind" and key not in {each for kind in _KINDS[prefix] for each, _, _ in asked(_KINDS[prefix], kind)}:
            raise LookupError(f"{name}: no kind has this setting")
        return f"{prefix}.KEY"
    if name in {each for kind in METHODS for each, _, _ in asked(METHODS, kind)}:
        return "KEY"
    return re.sub(r"^\w+_known$", "NAME_known", name)


def _shape(shape: tuple[int, ...], sizes: Mapping[int, str]) -> str:
    """Return a shape with letters for its lengths."""
    if not shape:
        return ""
    lengths = [sizes.get(length, str(length)) for length in shape]
    return f"({', '.join(lengths)}{',' * (len(lengths) == 1)})"


def refuse_unlike(found: Iterable[str], described: Iterable[str], what: str) -> None:
    """Raise LookupError where the names in files and those with a description are not the same."""
    undescribed, unfound = set(found) - set(described), set(described) - set(found)
    if undescribed or unfound:
        raise LookupError(f"{what}: without a description: {sorted(undescribed)}; in no file: {sorted(unfound)}")


def described_columns(found: list[Entry], described: Described) -> list[Entry]:
    """Return the entries with their descriptions, in the order of these; a column describes itself."""
    columns = [each for each in found if each.description]
    places = {(place, name): line for place, names in described.items() for name, line in names.items()}
    others = [each for each in found if not each.description and not _twice(each)]
    names = {(each.place, each.name) for each in others}
    refuse_unlike((" ".join(name) for name in names), (" ".join(name) for name in places), "names")
    order, given = list(places), list(COLUMNS | CLOCKS)
    columns.sort(key=lambda each: given.index(each.name))
    others.sort(key=lambda each: (order.index((each.place, each.name)), each.what))
    return [*(each._replace(description=places[each.place, each.name]) for each in others), *columns]


def _twice(each: Entry) -> bool:
    """Return whether it is the dataset that says an attribute once more."""
    return each.name == "f_star" and each.what == "dataset"


def _sections(found: list[Entry], described: Described) -> Iterator[str]:
    """Yield a heading and a table for each group."""
    rows = described_columns(found, described)
    for place in described:
        here = [each for each in rows if each.place == place]
        yield f"### `{place}`\n"
        head = ("name", "what", "dtype", "shape", "unit", "meaning")
        yield from table(head, [_row(each) for each in here])


def _row(each: Entry) -> tuple[str, ...]:
    return f"`{each.name}`", each.what, each.dtype, markdown(each.shape), each.unit, markdown(each.description)


def provenance_keys(examples: Iterable[Example]) -> set[str]:
    """Return the keys of the files' provenance."""
    keys: set[str] = set()
    for example in examples:
        with h5py.File(example.file) as file:
            keys |= set(json.loads(file.attrs.get("provenance", "{}")))
    return keys


def _provenance(keys: set[str]) -> Iterator[str]:
    refuse_unlike(keys, said.PROVENANCE, "provenance")
    yield f"### Provenance\n\n{text.PROVENANCE}"
    yield from table(("key", "meaning"), [(f"`{key}`", markdown(line)) for key, line in said.PROVENANCE.items()])


def walk(document: Any, path: str = "") -> dict[str, set[str]]:
    """Return the types of what a JSON document holds, by where it is: `[]` for each entry of a list."""
    found: dict[str, set[str]] = {}
    inner = (
        {f"{path}.{key}".lstrip("."): value for key, value in document.items()} if isinstance(document, dict) else {}
    )
    below = list(inner.items())
    if isinstance(document, list):
        below = [(f"{path}[]", value) for value in document if isinstance(value, dict)]
    for key, value in below:
        if not key.endswith("[]"):
            found.setdefault(key, set()).add(_json_type(value))
        for name, types in walk(value, key).items() if key.rpartition(".")[2] not in _FREE else ():
            found.setdefault(name, set()).update(types)
    return found


def _json_type(value: Any) -> str:
    if isinstance(value, list) and value:
        return f"list of {_json_type(value[0]).removesuffix('s')}s".replace("texts", "text")
    return _JSON[type(value)]


def _document(found: Mapping[str, set[str]], described: Mapping[str, str]) -> list[str]:
    """Return the table of a JSON file."""
    names = {name.removeprefix("[]."): types for name, types in found.items()}
    refuse_unlike(names, described, "document")
    rows = []
    for name, line in described.items():
        types = names[name]
        if any(each.startswith("list of") for each in types):
            types = types - {"list"}  # an empty one
        if "number" in types:
            types = types - {"integer"}
        rows.append((f"`{name}`", " or ".join(sorted(types, key=lambda each: (each == "null", each))), markdown(line)))
    return table(("name", "type", "meaning"), rows)
