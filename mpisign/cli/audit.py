"""Add the commands that read trajectory files, which a wheel has without a checkout: plot, check and report."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mpisign.cli.arguments import command, positive
from mpisign.theory.constants import ASSUMED

_PLOT = """examples:
  mpisign plot results/quickstart.h5
  mpisign plot results/quickstart.h5 -o figures
"""
_CHECK = """examples:
  mpisign check results/ce-a.h5
  mpisign check results/ce-a.h5 --p-min 0.6 --json ce-a.json -o figures
"""
_REPORT = """examples:
  mpisign report results
  mpisign report results -o report --pictures
  mpisign report results -o report --claim claims_of_mine:falls
"""


_CERTIFY = """examples:
  mpisign init x1
  mpisign certify x1.toml
  mpisign certify x1.toml --upto 5 --json x1.json
"""


def add(commands: Any) -> None:
    """Add the commands to a parser's commands."""
    plot = command(commands, "plot", "draw the gap of every run of a file against iterations, bits and seconds", _PLOT)
    plot.add_argument("file", type=Path, metavar="FILE.h5", help="trajectory file made by mpisign run")
    where = "where the figure is written, as PNG and PDF (default: figures)"
    plot.add_argument("-o", "--output", type=Path, default=Path("figures"), metavar="FOLDER", help=where)
    plot.set_defaults(command=_plot)
    check = command(commands, "check", "hold the runs of a file against every bound that speaks of them", _CHECK)
    check_options(check)
    check.set_defaults(command=_check)
    does = "every claim of the paper with its verdict, from a folder of trajectory files"
    report = command(commands, "report", does, _REPORT)
    report_options(report)
    report.set_defaults(command=_report)
    does = "E V_k and the bounds of a job as fractions, and which is larger"
    certify = command(commands, "certify", does, _CERTIFY)
    _certify_options(certify)
    certify.set_defaults(command=_certify)


def _certify_options(asked: argparse.ArgumentParser) -> None:
    """Add the options of `certify` to a parser."""
    asked.add_argument("job", type=Path, metavar="JOB.toml", help="a job whose stochastic gradient has a finite law")
    asked.add_argument("--run", metavar="LABEL", help="this run alone (default: every run that has a finite law)")
    asked.add_argument("--upto", type=positive, metavar="K", help="the largest k (default: the run's iterations)")
    asked.add_argument(
        "--states", type=positive, default=200_000, metavar="N", help="stop beyond so many states (default: 200000)"
    )
    asked.add_argument("--json", type=Path, metavar="OUT", help="write every bound at every k as a list")


def script_options(documentation: str | None, add_options: Callable[[argparse.ArgumentParser], None]) -> Any:
    """Return the options of a script of analysis/ that does what a command does.

    Args:
        documentation: The script's docstring, printed by its help.
        add_options: Adds the command's options to a parser.
    """
    parser = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add_options(parser)
    return parser.parse_args()


def check_options(asked: argparse.ArgumentParser) -> None:
    """Add the options of `check` to a parser."""
    asked.add_argument("file", type=Path, metavar="FILE.h5", help="trajectory file made by mpisign run")
    asked.add_argument("--json", type=Path, metavar="OUT", help="write what was found as a list, for other programs")
    asked.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="draw the gaps beside their bounds (default: no figure)"
    )
    asked.add_argument("--level", type=float, default=0.05, help="false-alarm rate of each verdict (default: 0.05)")
    for name in ASSUMED:
        flag = f"--{name.replace('_', '-')}"
        asked.add_argument(flag, type=float, dest=name, metavar="X", help=f"{name}, in place of what the file says")


def report_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `report` to a parser."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="trajectory files, *.h5")
    parser.add_argument("-o", "--output", type=Path, default=Path("report"), metavar="FOLDER")
    parser.add_argument(
        "--claim",
        action="append",
        default=[],
        metavar="module:function",
        help="a claim of your own, a function of the results (documentation: Kinds of your own in a module)",
    )
    parser.add_argument(
        "--pictures",
        action="store_true",
        help="write each figure as pictures/CLAIM.png, too, and name it with its caption in report.json",
    )


def _figures() -> None:
    """Draw to files from here on, whatever backend a notebook names; call it before matplotlib is imported."""
    os.environ["MPLBACKEND"] = "agg"
    from mpisign.audit.figures.figure import ours

    ours()


def _plot(options: argparse.Namespace) -> None:
    """Draw the gaps of a file, and where its time went, if it was clocked."""
    _figures()
    from mpisign.audit.figures.beyond import clocks
    from mpisign.audit.figures.beyond.gaps import draw
    from mpisign.audit.figures.figure import noted, save
    from mpisign.storage.trajectory import Trajectory

    trajectory = Trajectory(options.file)
    save(noted(draw(trajectory), [trajectory]), options.output / f"{options.file.stem}-gaps")
    if clocks.has_clocks(trajectory):
        save(clocks.draw(trajectory), options.output / f"{options.file.stem}-clocks")


def _check(options: argparse.Namespace) -> None:
    """Check the bounds on the runs of a file."""
    _figures()
    from mpisign.audit.bounds.command import hold_against

    hold_against(options)


def _report(options: argparse.Namespace) -> None:
    """Write the report on a folder."""
    _figures()
    from mpisign.audit.report.build import make

    print("\n".join(make(options.folder, options.output, options.claim, options.pictures)))


def _certify(options: argparse.Namespace) -> None:
    """Certify a job."""
    from mpisign.audit.certify.command import certify

    certify(options.job, options.run, options.upto, options.states, options.json)
