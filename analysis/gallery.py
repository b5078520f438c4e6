"""The pictures of docs/gallery.md: the figures that it shows, from the folders where scripts drew them, made smaller.

The page names them, ../analysis/gallery/NAME.png; a figure that it names and no folder has is asked for.

    python analysis/gallery.py figures results/network
"""

import argparse
import re
import sys
from pathlib import Path

from PIL import Image

from mpisign.config.validation import InputError, one_line

PAGE = Path(__file__).parent.parent / "docs" / "gallery.md"
GALLERY = Path(__file__).parent / "gallery"
WIDTH, COLOURS = 900, 128
"""Pixels, and what is left of the colours: some 50 kB a picture."""


def named(page: Path = PAGE) -> list[str]:
    """The pictures that the page shows, once each."""
    return list(dict.fromkeys(re.findall(r"\(\.\./analysis/gallery/([\w-]+\.png)\)", page.read_text())))


def found(name: str, folders: list[Path]) -> Path:
    """The figure of that name; raises InputError where no folder has it."""
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        name, f"expected this figure in {', '.join(map(str, folders))}; jobs/reproduce.sh draws most of them"
    )


def shrink(figure: Path, picture: Path) -> None:
    """A PNG of WIDTH pixels and COLOURS colours."""
    with Image.open(figure) as image:
        height = round(image.height * WIDTH / image.width)
        small = image.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
    small.quantize(COLOURS, dither=Image.Dither.NONE).save(picture, optimize=True)


def main() -> int:
    """Exit status: 0, or 2 where a figure is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "folders", type=Path, nargs="+", metavar="FOLDER", help="where figures are, the first one first"
    )
    options = parser.parse_args()
    try:
        figures = {name: found(name, options.folders) for name in named()}
    except InputError as error:
        print(one_line(f"gallery.py: {error}"), file=sys.stderr)
        return 2
    GALLERY.mkdir(exist_ok=True)
    for name, figure in figures.items():
        shrink(figure, GALLERY / name)
        print(f"made {GALLERY / name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
