"""Add the command that runs the job of a trajectory file again."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mpisign.cli.arguments import command
from mpisign.stop_signals import StopRequested, StopSignals
from mpisign.storage.output_file import check_output, output_path


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command to a parser's commands."""
    again = command(commands, "rerun", "run the job of a trajectory file again, and compare the hashes")
    again.add_argument("file", type=Path, metavar="FILE.h5", help="the trajectory file to compare with")
    again.add_argument("-o", "--output", type=output_path, metavar="AGAIN.h5", help="keep the result (default: do not)")
    again.set_defaults(command=_rerun)


def _rerun(options: argparse.Namespace) -> int:
    """Run the job of a file again; return 1 where a hash or a recorded value differs."""
    from mpisign.comm.startup import connect
    from mpisign.engine import reproduce

    with StopSignals(), connect() as ranks, TemporaryDirectory() as folder:
        output = options.output or Path(folder) / "again.h5"
        ranks.raise_collectively(lambda: check_output(output, False, "give another name") if ranks.root else None)
        try:
            found = reproduce.rerun(options.file, output, ranks)
        except StopRequested as stop:
            kept = options.output is not None and output.exists()
            stop.then = f"the same command starts again{f', once {output} is removed' if kept else ''}"
            raise
    for remark in found.remarks:
        print(remark)
    print(f"{found.same} of {found.of} repeats have the same sha256 as in {options.file}")
    if found.other_values:
        print(f"{found.other_values} of these have other recorded values")
    return int(found.same < found.of or found.other_values > 0)
