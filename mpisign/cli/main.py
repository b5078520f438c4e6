"""Parse the command line, connect the packages, and print; without any mathematics."""

import argparse
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn

import shtab

from mpisign._version import __version__
from mpisign.cli import audit, bench, data, init, merge, rerun, run
from mpisign.cli.arguments import command
from mpisign.config.validation import InputError, advised, closest, described, one_line, shown, spell_out
from mpisign.messages import say
from mpisign.process_rank import first_process
from mpisign.stop_signals import PLANNING, STOPPED, StopRequested, StopSignals

_EXAMPLES = """examples:
  mpisign init quickstart
  mpisign run quickstart.toml -o results/quickstart.h5
  mpirun -n 4 python -m mpi4py -m mpisign run quickstart.toml -o results/quickstart.h5
  mpisign run quickstart.toml -o quick.h5 --repeats 0:2 --dry-run
  mpisign info results/quickstart.h5
  mpisign merge results/all.h5 results/slice-0.h5 results/slice-1.h5
  mpisign data synth --like epsilon epsilon.h5 --n 2000 --d 50
  mpisign launch -n 4 python -m mpi4py -m mpisign run quickstart.toml -o results/quickstart.h5
  mpisign list
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command line's words; None for those of the program.

    Returns:
        The exit status: 0; 1 if doctor has advice or the system refuses something; 2 for bad input; 75 when a signal
        asked for a stop: try again; 130 when interrupted.
    """
    from mpisign.comm.startup import leave

    StopSignals.outlast = arguments is None  # the program itself: it has nothing to do after a run
    status = 0
    spell_out(sys.stdout)
    # every rank parses and computes, but only the first process prints
    with redirect_stdout(sys.stdout if first_process() else StringIO()):
        try:
            options = _parser().parse_args(arguments)
            status = _done(options)
        except InputError as error:
            status = _complain(str(error), status=2)
        except StopRequested as stop:
            status = _complain(str(stop), status=STOPPED)
        except KeyboardInterrupt as error:
            return _complain(f"interrupted{advised(error)}", status=130)
        except BrokenPipeError:
            return 1
        except MemoryError as error:
            hint = "mpisign run --dry-run says what a job takes, and on which rank"
            return _complain(f"more memory is needed than there is: {described(error)}; {hint}", status=1)
        except OSError as error:  # a full disk, a file that is gone: no mistake of the program
            return _complain(f"{described(error)}{advised(error)}", status=1)
    leave()
    return status


def _done(options: argparse.Namespace) -> int:
    """Run the command; once it ends, a signal changes nothing."""
    try:
        return options.command(options) or 0
    finally:
        PLANNING.over()


def _complain(message: str, status: int) -> int:
    """Print a complaint in one line, once and not once per rank; return the status."""
    if first_process():
        say(one_line(message))
    return status


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are InputError, and which takes an option by its whole name only."""

    def __init__(self, **settings: Any):
        super().__init__(**settings, allow_abbrev=False)  # an option of tomorrow must not change a script of today

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a value that is none of the choices, with the one that was meant."""
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(action, f"invalid choice: {shown(value)}; {closest(str(value), known)}")

    def error(self, message: str) -> NoReturn:
        raise InputError("", f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _Parser(
        prog="mpisign",
        description="Scaled sign gradient descent over MPI: run a job file, look at the result.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    completion = "print what gives this shell the commands and options by Tab"
    shtab.add_argument_to(parser, "--print-completion", help=completion)
    parser.add_argument("--version", action="version", version=f"mpisign {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)
    parser.set_defaults(command=lambda options: parser.print_help())
    run.add(commands)
    rerun.add(commands)
    merge.add(commands)
    sorts = "methods, problems, oracles, steps, starts, exchanges and data sets"
    listing = command(commands, "list", f"the {sorts} there are")
    listing.set_defaults(command=_list)
    info = command(commands, "info", "what a trajectory file holds")
    info.add_argument("file", type=Path, metavar="FILE.h5", help="a trajectory file")
    info.add_argument("--provenance", action="store_true", help="where it comes from: enough to run it again")
    info.set_defaults(command=_info)
    data.add(commands)
    bench.add(commands)
    audit.add(commands)
    init.add(commands)
    doctor = command(commands, "doctor", "whether this machine is set up for ranks, and what to do where it is not")
    doctor.add_argument("--folder", type=Path, default=Path("."), help="where results will be written (default: here)")
    doctor.set_defaults(command=_doctor)
    launch = command(commands, "launch", "start ranks as the scripts do: as root, and on fewer cores than ranks, too")
    launch.add_argument("-n", type=int, required=True, metavar="N", help="how many ranks")
    launch.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND", help="a program and its arguments")
    launch.set_defaults(command=_launch)
    return parser


def _list(options: argparse.Namespace) -> None:
    """Print what there is to choose from in a job file."""
    from mpisign.cli import list_kinds

    print(list_kinds.text())


def _info(options: argparse.Namespace) -> None:
    """Print what a trajectory file holds, or where it comes from."""
    from mpisign.storage import summary
    from mpisign.storage.trajectory import Trajectory

    text = summary.provenance if options.provenance else summary.text
    print(text(Trajectory(options.file)))


def _doctor(options: argparse.Namespace) -> int:
    """Print each check as it is done; return 1 if one has advice."""
    from mpisign.tools.doctor.checks import checks

    well = True
    for check in checks(options.folder) if first_process() else ():  # a doctor under a launcher is one, too
        print(f"ok    {check.what}" if not check.advice else f"fix   {check.what}\n      {check.advice}", flush=True)
        well = well and not check.advice
    return 0 if well else 1


def _launch(options: argparse.Namespace) -> None:
    """Replace this process by a launcher of ranks.

    Raises:
        InputError: If the number of ranks is below 1, or there is no command.
    """
    from mpisign.comm.launcher import become

    if options.n < 1:
        raise InputError("-n", f"expected at least one rank, got {options.n}")
    if not options.words:
        raise InputError(
            "launch", "expected a command for the ranks, such as python -m mpi4py -m mpisign run JOB.toml ..."
        )
    become(options.n, options.words)
