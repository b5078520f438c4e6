"""Add the command that makes slices of one experiment into one file."""

import argparse
from pathlib import Path
from typing import Any

from mpisign.cli.arguments import command
from mpisign.config.validation import InputError
from mpisign.storage.output_file import check_output, output_path


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command to a parser's commands."""
    merge = command(commands, "merge", "slices of one experiment, made with --repeats, become one file")
    merge.add_argument("output", type=output_path, metavar="OUT.h5", help="the file to write")
    merge.add_argument("inputs", type=Path, nargs="+", metavar="IN.h5", help="the slices, in any order")
    merge.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    merge.add_argument("--virtual", action="store_true", help="a view of the slices, which stay where they are")
    merge.set_defaults(command=_merge)


def _merge(options: argparse.Namespace) -> None:
    """Merge slices of one experiment into one file.

    Raises:
        InputError: If the output is one of the inputs, or cannot be written.
    """
    from mpisign.engine import merging

    check_output(options.output, options.overwrite)
    if options.output.resolve() in (path.resolve() for path in options.inputs):
        raise InputError(str(options.output), "expected another output than the inputs")
    merging.merge(options.output, options.inputs, options.virtual)
    print(f"wrote {options.output}")
