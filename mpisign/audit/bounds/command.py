"""Print every bound that applies to a trajectory file's runs, printed and corrected, beside what was measured.

A run's mean gap over the repeats, with limits at 95 % for all checkpoints together, is held against each bound. The
verdict is confirmed, violated, vacuous (a premise fails: which, and from which k), or inconclusive. Constants come from
the file, where mpisign run stores those known exactly or as certified limits, or from options.
"""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path

from mpisign.audit.bounds import BoundCheck, check
from mpisign.audit.bounds.plot import draw
from mpisign.audit.figures.figure import report, save
from mpisign.config.validation import InputError
from mpisign.storage.trajectory import Trajectory
from mpisign.theory.constants import ASSUMED


def table(found: list[BoundCheck]) -> list[str]:
    """Return one line for each run and bound."""
    widths = [max(len(str(row[i])) for row in found) for i in range(2)] if found else []
    return [
        f"{row.run:{widths[0]}}  {row.bound:{widths[1]}}  {row.verdict:12}  {row.remark()}".rstrip() for row in found
    ]


def write(path: Path, found: list[BoundCheck]) -> None:
    """Write the checks as JSON.

    Raises:
        InputError: If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([row.document() for row in found], indent=1))
    except OSError as error:
        raise InputError("--json", f"cannot write {path}: {error.strerror}") from None


POSSIBLE: dict[str, tuple[str, Callable[[float], bool]]] = {
    "mu": ("a finite number > 0", lambda value: 0 < value < math.inf),
    "L": ("a finite number > 0", lambda value: 0 < value < math.inf),
    "sigma2": ("a finite number >= 0", lambda value: 0 <= value < math.inf),
    "p_min": ("a number from 0 to 1", lambda value: 0 <= value <= 1),
    "level": ("a number between 0 and 1", lambda value: 0 < value < 1),
}
"""Range of each option, whatever a premise requires: p_min of 1/2 or less is allowed, and fails a premise."""


def refuse_impossible(options: argparse.Namespace) -> None:
    """Reject numbers that an option cannot be.

    Raises:
        InputError: If an option is outside of its range in POSSIBLE.
    """
    for name, (expected, possible) in POSSIBLE.items():
        value = getattr(options, name)
        if value is not None and not possible(value):
            raise InputError(f"--{name.replace('_', '-')}", f"expected {expected}, got {value}")


def hold_against(options: argparse.Namespace) -> None:
    """Check the runs of a file, print what was found, and write and draw it where the options ask for it."""
    refuse_impossible(options)
    given = {name: value for name in ASSUMED if (value := getattr(options, name)) is not None}
    found = check(Trajectory(options.file, iterates=True), given, options.level)
    if options.json:
        write(options.json, found)
    report(*table(found))
    if options.output:
        save(draw(found), options.output / f"{options.file.stem}-bounds")
