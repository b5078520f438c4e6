"""What every figure script shares: its command line, the project's style, and PNG with PDF.

A script is run by its path (`python analysis/gaps.py FILE.h5 -o figures`), so that this module is beside it.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from mpisign.settings import BadInput
from mpisign.trajectory import Trajectory

STYLE = Path(__file__).with_name("mpisign.mplstyle")


def command(draw: Callable[[Trajectory], Figure], name: str, documentation: str | None, iterates: bool = False) -> int:
    """A script that draws one figure of one trajectory file; returns its exit status: 0, or 2 for bad input.

    name: the file is called <stem of the trajectory file>-<name>. iterates: also read x_k.
    """
    parser = argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="FILE.h5")
    parser.add_argument("-o", "--output", type=Path, default=Path("figures"), metavar="FOLDER")
    options = parser.parse_args()
    plt.style.use(STYLE)
    try:
        figure = draw(Trajectory(options.file, iterates=iterates))
    except BadInput as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return 2
    save(figure, options.output / f"{options.file.stem}-{name}")
    return 0


def save(figure: Figure, stem: Path) -> None:
    """Write `figure` as stem.png and stem.pdf, and say so."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    for suffix in (".png", ".pdf"):
        path = stem.with_name(stem.name + suffix)
        figure.savefig(path)
        print(f"drew {path}")
    plt.close(figure)
