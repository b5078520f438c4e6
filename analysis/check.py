"""Every bound that speaks of a trajectory file's runs, printed and corrected, held against what was measured.

A run's mean gap over the repeats, with limits at 95 % for all checkpoints together, beside each bound: confirmed,
violated, vacuous (a premise fails: which, and from which k), or inconclusive. Constants come from the file, where
mpisign run stores those that can be had exactly or as certified limits, or from options.

    python analysis/check.py results/ce-a.h5
    python analysis/check.py results/ce-a.h5 --p-min 0.6 --json ce-a.json -o figures
"""

import argparse
import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt

from checking import Checked, check
from checking.given import CONSTANTS
from checking.versus import draw
from figure import STYLE, report, save
from mpisign.settings import BadInput, one_line
from mpisign.trajectory import Trajectory


def table(found: list[Checked]) -> list[str]:
    """One line for each run and bound."""
    widths = [max(len(str(row[i])) for row in found) for i in range(2)] if found else []
    return [
        f"{row.run:{widths[0]}}  {row.bound:{widths[1]}}  {row.verdict:12}  {row.remark()}".rstrip() for row in found
    ]


def write(path: Path, found: list[Checked]) -> None:
    """The rows as JSON; raises BadInput where that cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([row.document() for row in found], indent=1))
    except OSError as error:
        raise BadInput("--json", f"cannot write {path}: {error.strerror}") from None


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("file", type=Path, metavar="FILE.h5")
    asked.add_argument("--json", type=Path, metavar="OUT", help="write what was found as a list, for other programs")
    asked.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="draw the gaps beside their bounds")
    asked.add_argument("--level", type=float, default=0.05, help="false-alarm rate of each verdict (default 0.05)")
    for name in CONSTANTS:
        flag = f"--{name.replace('_', '-')}"
        asked.add_argument(flag, type=float, dest=name, metavar="X", help=f"{name}, in place of what the file says")
    return asked


def main() -> int:
    """The command; returns its exit status: 0, or 2 for bad input."""
    options = parser().parse_args()
    given = {name: value for name in CONSTANTS if (value := getattr(options, name)) is not None}
    try:
        if not 0 < options.level < 1:
            raise BadInput("--level", f"expected a number between 0 and 1, got {options.level}")
        found = check(Trajectory(options.file, iterates=True), given, options.level)
        if options.json:
            write(options.json, found)
    except BadInput as error:
        print(one_line(f"check.py: {error}"), file=sys.stderr)
        return 2
    report(*table(found))
    if options.output:
        plt.style.use(STYLE)
        save(draw(found), options.output / f"{options.file.stem}-bounds")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
