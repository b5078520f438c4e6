"""Write report.html and report.json, every claim of the paper with its verdict, from a folder of trajectory files.

A claim whose file is not there stays, as "not run", with the command that makes it.
"""

import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib.pyplot as plt

from mpisign.audit import claims
from mpisign.audit.claims.claim import Claim, Results
from mpisign.audit.figures.figure import STYLE
from mpisign.audit.report import page, pictures
from mpisign.audit.report.pictures import Picture
from mpisign.audit.report.unjudged import unjudged
from mpisign.config.validation import InputError
from mpisign.data.file import is_data_file
from mpisign.engine.embedded_experiment import carried
from mpisign.storage.trajectory import Trajectory


def read(folder: Path) -> Results:
    """Read the trajectory files in a folder; data files are passed over.

    Returns:
        The files by the name of their job.

    Raises:
        InputError: If there is none, or a file is something else or was cut off.
    """
    if not folder.is_dir():
        raise InputError(str(folder), "expected a folder with trajectory files")
    results: dict[str, list[Trajectory]] = defaultdict(list)
    for path in sorted(folder.glob("*.h5")):
        if not is_data_file(path):
            trajectory = Trajectory(path, iterates=True)
            results[carried(trajectory).name].append(trajectory)
    if not results:
        raise InputError(str(folder), "expected trajectory files (*.h5) made by mpisign run; found none")
    return dict(results)


def _without_float32(results: Results) -> tuple[Results, list[str]]:
    """Return the results that claims are judged on, and a line on each file with a run in float32."""
    kept, said = {}, []
    for name, files in results.items():
        single = [file for file in files if any(run.precision != "float64" for run in file)]
        kept[name] = [file for file in files if file not in single]
        said += [f"{file.path}: has a run in float32; no claim is judged on it" for file in single]
    return {name: files for name, files in kept.items() if files}, said


def as_json(entries: dict[str, list[Claim]], drawn: Mapping[str, Sequence[Picture]] = MappingProxyType({})) -> str:
    """Return a JSON list of claims.

    Args:
        entries: Claims by the heading of their part.
        drawn: The pictures that were written, by the claim's id.
    """
    claims = [
        {"part": part, **as_table(entry, drawn.get(entry.id, ()))} for part, some in entries.items() for entry in some
    ]
    return json.dumps(claims, indent=1, ensure_ascii=False) + "\n"


def as_table(entry: Claim, drawn: Sequence[Picture] = ()) -> dict[str, Any]:
    """Return a claim as a dictionary for JSON, with the captions of its figures and the pictures of them."""
    table = entry.table._asdict() if entry.table else None
    captions = [drawing.caption for drawing in entry.figures]
    return entry._asdict() | {"table": table, "figures": captions, "pictures": [picture._asdict() for picture in drawn]}


def write(path: Path, text: str) -> None:
    """Write the whole file or, when something fails, leave what was there before."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8", errors="backslashreplace")  # names of files may be no UTF-8
    # a rename is atomic: readers see the old page or the new one
    os.replace(part, path)


def lines(entries: dict[str, list[Claim]]) -> list[str]:
    """Return one line for each claim."""
    some = [entry for part in entries.values() for entry in part]
    width = max(len(entry.id) for entry in some)
    return [f"{entry.id:{width}}  {entry.verdict:12}  {_resting(entry)}".rstrip() for entry in some]


def _resting(entry: Claim) -> str:
    """Return what the verdict rests on, and the verdict on what holds instead."""
    right = f"corrected: {entry.corrected_verdict}" if entry.corrected_verdict else ""
    return "; ".join(filter(None, [entry.rests_on, right]))


def make(folder: Path, output: Path, also: Sequence[str] = (), with_pictures: bool = False) -> list[str]:
    """Write both files, and the pictures if they are asked for.

    Args:
        folder: Holds the trajectory files.
        output: Folder to write into.
        also: Dotted paths of further claims.
        with_pictures: Whether each figure is written as a PNG, too, which report.json names.

    Returns:
        Lines to print.

    Raises:
        InputError: If the folder has no trajectory files, or `output` cannot be made.
    """
    results, single = _without_float32(read(folder))
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(str(output), f"expected a folder to write into: {error.strerror}") from None
    entries = pictures.kept(claims.entries(results, also))
    html, data = output / "report.html", output / "report.json"
    with plt.style.context(STYLE, after_reset=True):
        write(html, page.render(entries, [file for files in results.values() for file in files]))
        drawn = pictures.write(entries, output) if with_pictures else {}
    write(data, as_json(entries, drawn))
    written = [output / picture.file for some in drawn.values() for picture in some]
    open_claims = unjudged([entry for part in entries.values() for entry in part], results, folder)
    return [*lines(entries), *single, *open_claims, *(f"wrote {path}" for path in (html, *written, data))]
