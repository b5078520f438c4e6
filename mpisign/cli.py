"""The command line: parses, wires and prints; no mathematics."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mpisign import __version__
from mpisign.settings import BadInput

if TYPE_CHECKING:
    from mpisign.exchange import Ranks
    from mpisign.runner import Plan

_EXAMPLES = """examples:
  mpisign run jobs/quickstart.toml -o results/quickstart.h5
  mpirun -n 4 python -m mpi4py -m mpisign run jobs/quickstart.toml -o results/quickstart.h5
  mpisign run jobs/quickstart.toml -o quick.h5 --set iterations=100 --set runs.0.step.alpha=0.1
  mpisign info results/quickstart.h5
  mpisign list
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit status: 0, or 2 for bad input."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options) or 0)
    except BadInput as error:
        from mpisign.exchange import first_process

        if first_process():
            print(f"mpisign: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mpisign",
        description="Scaled sign gradient descent over MPI: run a job file, look at the result.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mpisign {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_run(commands)
    listing = commands.add_parser("list", help="the methods, problems, oracles, steps and data sets there are")
    listing.set_defaults(command=_list)
    info = commands.add_parser("info", help="what a trajectory file holds")
    info.add_argument("file", type=Path, metavar="FILE")
    info.set_defaults(command=_info)
    return parser


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    run = commands.add_parser(
        "run",
        help="run a job file and write its trajectories",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("job", type=Path, metavar="JOB.toml")
    run.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.h5")
    run.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    run.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the job, e.g. seed=2"
    )
    run.add_argument("--repeats", metavar="A:B", help="only the repeats A to B-1, e.g. 0:5")
    run.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from mpisign import exchange, runner

    with exchange.connect() as ranks:
        complaint = None
        try:
            plan, repeats = _prepare(options, ranks)
        except BadInput as error:
            complaint = error
        ranks.agree(complaint)
        runner.run(plan, ranks, options.output, repeats)
        if ranks.root:
            print(f"wrote {options.output}")


def _prepare(options: argparse.Namespace, ranks: "Ranks") -> "tuple[Plan, range]":
    """All that can be refused, before anything is written."""
    from mpisign import experiment, runner

    settings = experiment.read(options.job, options.set)
    repeats = _slice(options.repeats, settings.repeats)
    try:
        plan = runner.plan(settings, ranks)
    except BadInput as error:
        raise BadInput(str(options.job), str(error)) from None
    if ranks.root:
        _check_output(options.output, options.overwrite)
    return plan, repeats


def _slice(text: str | None, repeats: int) -> range:
    if text is None:
        return range(repeats)
    first, colon, last = text.partition(":")
    if colon and first.isdecimal() and last.isdecimal() and int(first) < int(last) <= repeats:
        return range(int(first), int(last))
    raise BadInput("--repeats", f"expected A:B with 0 <= A < B <= {repeats}, got {text!r}")


def _check_output(output: Path, overwrite: bool) -> None:
    if output.is_dir():
        raise BadInput(str(output), "expected a file name for the output, but this is a folder")
    if output.exists() and not overwrite:
        raise BadInput(str(output), "this output exists already; give --overwrite to replace it")
    parent = output.parent
    if parent.exists() and not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise BadInput(str(parent), "cannot write into this folder")


def _list(options: argparse.Namespace) -> None:
    from mpisign import catalogue

    print(catalogue.text())


def _info(options: argparse.Namespace) -> None:
    from mpisign import summary
    from mpisign.trajectory import Trajectory

    print(summary.text(Trajectory(options.file)))
