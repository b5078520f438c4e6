"""Print every bound that applies to a trajectory file's runs, printed and corrected, beside what was measured.

A run's mean gap over the repeats, with limits at 95 % for all checkpoints together, is held against each bound. The
verdict is confirmed, violated, vacuous (a premise fails: which, and from which k), or inconclusive. Constants come from
the file, where mpisign run stores those known exactly or as certified limits, or from options.
"""

import argparse

from mpisign.audit.bound_names import NAMES
from mpisign.audit.bounds import BoundCheck, check, unchecked
from mpisign.audit.bounds.plot import draw
from mpisign.audit.figures.figure import report, save
from mpisign.audit.json_rows import write_rows
from mpisign.config.validation import InputError
from mpisign.storage.trajectory import Trajectory
from mpisign.theory.constants import ASSUMED


def table(found: list[BoundCheck]) -> list[str]:
    """Return one line for each run and bound."""
    heads = [(row.run, NAMES[row.bound]) for row in found]
    widths = [max(map(len, column)) for column in zip(*heads, strict=True)]
    return [
        f"{run:{widths[0]}}  {bound:{widths[1]}}  {row.verdict:12}  {row.remark()}".rstrip()
        for (run, bound), row in zip(heads, found, strict=True)
    ]


def hold_against(options: argparse.Namespace) -> None:
    """Check the runs of a file, print what was found, and write and draw it where the options ask for it."""
    given = {name: value for name in ASSUMED if (value := getattr(options, name)) is not None}
    try:
        trajectory = Trajectory(options.file, iterates=True)
        found = check(trajectory, given, options.level)
    except InputError as error:
        named = error.key in (*ASSUMED, "level")
        raise (InputError(f"--{error.key.replace('_', '-')}", error.complaint) if named else error) from None
    if options.json:
        write_rows(options.json, [row.document() for row in found])
    report(*table(found), *unchecked(trajectory))
    if options.output:
        save(draw(found), options.output / f"{options.file.stem}-bounds")
