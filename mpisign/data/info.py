"""A data file in a few lines of text."""

from pathlib import Path

import numpy as np

from mpisign.config.validation import one_line
from mpisign.data.file import DataFile


def line(path: Path) -> str:
    """Return name, sizes and classes in one line."""
    file = DataFile(path)
    return one_line(
        f"{path}: n = {file.layout.n}, d = {file.layout.d}, {_form(file)}; {_classes(file)}{_indices(file)}"
    )


def text(file: DataFile) -> str:
    """Return everything that `mpisign data info` prints."""
    attributes, layout = file.attributes, file.layout
    smallest, median, largest = np.quantile(file.row_norms(), [0, 0.5, 1])
    lines = {
        "n": layout.n,
        "d": layout.d,
        "features": _form(file),
        "density": f"{attributes['density']:.6g} ({layout.nnz} entries)",
        "labels": _classes(file),
        "row norms": f"{smallest:.6g} to {largest:.6g}, median {median:.6g}",
        "source": f"{attributes['source']}{_indices(file)}",
        "source's sha256": attributes["source_sha256"] or "-",
        "content's sha256": attributes["sha256"],
        "written": f"{attributes['created']} by mpisign {attributes['mpisign']}",
    }
    width = max(map(len, lines))
    return "\n".join(
        map(one_line, [f"{file.path}", *(f"  {name.ljust(width)}  {value}" for name, value in lines.items())])
    )


def _form(file: DataFile) -> str:
    return f"{'sparse (CSR)' if file.layout.sparse else 'dense'}, {file.layout.dtype}"


def _indices(file: DataFile) -> str:
    first = file.attributes.get("first_index")
    return "" if first is None else f"; its indices start at {first}"


def _classes(file: DataFile) -> str:
    low, high = file.attributes["label_values"]
    positive = file.attributes["positive"]
    share = 100 * positive / file.layout.n
    return f"{low:g} became -1, {high:g} became +1 ({positive} rows, {share:.1f} %)"
