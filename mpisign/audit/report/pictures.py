"""Write the figures of claims as small pictures beside the report, and say which they are."""

import io
import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from mpisign.audit.claims.claim import Claim, Drawing
from mpisign.config.validation import InputError

FOLDER = "pictures"
"""Where they are, in the folder of the report."""
WIDTH, LEAST_DPI, COLOURS = 900, 90, 200
"""Pixels, unless text would be too small; and what is left of the colours: some 40 kB a picture."""


class Picture(NamedTuple):
    """A picture that was written.

    Attributes:
        file: Its path from the folder of the report.
        caption: What to see in it.
        alt: The same for readers who cannot see it.
    """

    file: str
    caption: str
    alt: str


def kept(entries: dict[str, list[Claim]]) -> dict[str, list[Claim]]:
    """Return the same claims, whose figures are drawn once however often they are asked for."""
    return {
        part: [entry._replace(figures=[_once(each) for each in entry.figures]) for entry in some]
        for part, some in entries.items()
    }


def _once(drawing: Drawing) -> Drawing:
    """Return a drawing that keeps its figure."""
    return drawing._replace(draw=cache(drawing.draw))


def write(entries: dict[str, list[Claim]], folder: Path) -> dict[str, list[Picture]]:
    """Write a picture of each figure of each claim.

    Args:
        entries: Claims by the heading of their part.
        folder: Of the report; it exists.

    Returns:
        What was written, by the claim's id.

    Raises:
        InputError: If the folder of the pictures cannot be made.
    """
    try:
        (folder / FOLDER).mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(str(folder / FOLDER), f"expected a folder to write into: {error.strerror}") from None
    return {entry.id: _of_claim(entry, folder) for some in entries.values() for entry in some}


def _of_claim(entry: Claim, folder: Path) -> list[Picture]:
    """Write the pictures of one claim; a figure whose files are refused has none."""
    made = []
    for number, drawing in enumerate(entry.figures, start=1):
        picture = Picture(f"{FOLDER}/{entry.id}{f'-{number}' * (number > 1)}.png", drawing.caption, drawing.alt)
        try:
            figure = drawing.draw()
        except InputError:
            continue  # the page says why
        _save(figure, folder / picture.file)
        made.append(picture)
    return made


def _save(figure: Figure, path: Path) -> None:
    """Save a figure as a PNG with a palette, whole or not at all, and close it."""
    drawn, part = io.BytesIO(), path.with_name(path.name + ".part")
    figure.savefig(drawn, format="png", dpi=max(LEAST_DPI, WIDTH / figure.get_size_inches()[0]))
    plt.close(figure)
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(part, format="png", optimize=True)
    os.replace(part, path)
