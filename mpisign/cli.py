"""The command line: parses, wires and prints; no mathematics."""

import argparse
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, get_args

from mpisign import __version__
from mpisign.bench import command as bench
from mpisign.checkpoints import STOPPED, Stopped
from mpisign.data import command as data
from mpisign.experiment import ExchangeName
from mpisign.output import check_output
from mpisign.settings import BadInput, described

if TYPE_CHECKING:
    from mpisign.experiment import Experiment
    from mpisign.planning import Plan
    from mpisign.ranks import Ranks

_EXAMPLES = """examples:
  mpisign run jobs/quickstart.toml -o results/quickstart.h5
  mpirun -n 4 python -m mpi4py -m mpisign run jobs/quickstart.toml -o results/quickstart.h5
  mpisign run jobs/quickstart.toml -o quick.h5 --set iterations=100 --set runs.0.step.alpha=0.1
  mpirun -n 4 python -m mpi4py -m mpisign run jobs/quickstart.toml -o quick.h5 --exchange auto
  mpirun -n 4 python -m mpi4py -m mpisign run jobs/quickstart.toml -o results/quickstart.h5 --resume
  mpisign info results/quickstart.h5
  mpisign merge results/all.h5 results/slice-0.h5 results/slice-1.h5
  mpisign data synth --like epsilon epsilon.h5 --n 2000 --d 50
  mpisign list
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit status.

    0; 1 if doctor has advice or the system refuses something; 2 for bad input; 75 when a signal asked for a stop: try
    again; 130 when interrupted.
    """
    from mpisign.connection import first_process, leave

    status = 0
    with redirect_stdout(sys.stdout if first_process() else StringIO()):
        try:
            options = _parser().parse_args(arguments)
            status = options.command(options) or 0
        except BadInput as error:
            status = _complain(str(error), status=2)
        except Stopped as stop:
            status = _complain(str(stop), status=STOPPED)
        except KeyboardInterrupt:
            return _complain("interrupted", status=130)
        except BrokenPipeError:
            return 1
        except OSError as error:  # a full disk, a file that is gone: no mistake of the program
            return _complain(described(error), status=1)
    leave()
    return status


def _complain(message: str, status: int) -> int:
    """Say it in one line, and once, not once per rank."""
    from mpisign.connection import first_process

    if first_process():
        line = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in message)
        print(f"mpisign: {line}", file=sys.stderr, flush=True)
    return status


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are BadInput."""

    def error(self, message: str) -> NoReturn:
        raise BadInput("", f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="mpisign",
        description="Scaled sign gradient descent over MPI: run a job file, look at the result.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mpisign {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=_Parser)
    _add_run(commands)
    listing = commands.add_parser("list", help="the methods, problems, oracles, steps and data sets there are")
    listing.set_defaults(command=_list)
    info = commands.add_parser("info", help="what a trajectory file holds")
    info.add_argument("file", type=Path, metavar="FILE")
    info.set_defaults(command=_info)
    _add_merge(commands)
    data.add(commands)
    bench.add(commands)
    doctor = commands.add_parser("doctor", help="is this machine set up for ranks? what to do where it is not")
    doctor.add_argument("--folder", type=Path, default=Path("."), help="where results will be written (default: here)")
    doctor.set_defaults(command=_doctor)
    return parser


def _add_run(commands: "argparse._SubParsersAction[_Parser]") -> None:
    run = commands.add_parser(
        "run",
        help="run a job file and write its trajectories",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("job", type=Path, metavar="JOB.toml")
    run.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.h5")
    there = run.add_mutually_exclusive_group()
    there.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    there.add_argument("--resume", action="store_true", help="go on with the output, or start it if there is none")
    run.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the job, e.g. seed=2"
    )
    run.add_argument(
        "--exchange",
        choices=get_args(ExchangeName),
        help="how messages meet; auto tries each on these ranks, takes the fastest and says why",
    )
    run.add_argument(
        "--on-failure",
        choices=("abort", "continue"),
        default="abort",
        help="when a rank dies: end all (--resume goes on), or go on without it (Open MPI with ULFM)",
    )
    run.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything, run and write nothing; say what memory, bits, time and commands it takes",
    )
    run.add_argument("--repeats", metavar="A:B", help="only the repeats A to B-1, e.g. 0:5")
    run.set_defaults(command=_run)


def _add_merge(commands: "argparse._SubParsersAction[_Parser]") -> None:
    merge = commands.add_parser("merge", help="slices of one experiment, made with --repeats, become one file")
    merge.add_argument("output", type=Path, metavar="OUT.h5")
    merge.add_argument("inputs", type=Path, nargs="+", metavar="IN.h5")
    merge.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    merge.add_argument("--virtual", action="store_true", help="a view of the slices, which stay where they are")
    merge.set_defaults(command=_merge)


def _run(options: argparse.Namespace) -> None:
    from mpisign import resuming, runner, surviving
    from mpisign.connection import connect

    with connect() as ranks:
        settings, repeats = ranks.together(lambda: _read(options))
        there = ranks.together(lambda: ranks.root and _checked_output(options))
        resume, earlier = ranks.decided(options.resume and there), None
        if resume:
            asked = repeats if options.repeats else None
            settings, repeats, earlier = resuming.take_up(options.output, settings, asked, ranks)
        if options.on_failure == "continue":
            ranks.together(lambda: surviving.refuse_where_impossible(ranks, settings.exchange))
        plan = ranks.together(lambda: _plan(options, settings, ranks))
        ranks.together(lambda: resuming.refuse_other_data(options.output, earlier, plan))
        if options.dry_run:
            from mpisign.forecast import report

            return report.show(report.Asked(plan, repeats, _given(options)), ranks)
        if options.on_failure == "continue":
            surviving.run(plan, ranks, options.output, repeats, resume)
        else:
            runner.run(plan, ranks, options.output, repeats, resume)
        if ranks.root:
            print(f"wrote {options.output}")


def _given(options: argparse.Namespace) -> dict[str, object]:
    """The job, the output, and the options that are not at their defaults, by name."""
    bare = vars(_parser().parse_args(["run", "JOB", "-o", "FILE"]))
    return {name: value for name, value in vars(options).items() if value != bare[name]}


def _read(options: argparse.Namespace) -> "tuple[Experiment, range]":
    """The experiment, and those of its repeats that are asked for."""
    from mpisign import experiment

    chosen = [f"exchange={options.exchange}"] if options.exchange else []
    settings = experiment.read(options.job, options.set + chosen)
    return settings, _slice(options.repeats, settings.repeats)


def _checked_output(options: argparse.Namespace) -> bool:
    """Whether there is one already; raises BadInput where it cannot be written."""
    check_output(options.output, options.overwrite or options.resume)
    there: bool = options.output.exists()
    if there and options.output.samefile(options.job):
        raise BadInput(str(options.output), "expected another output than the job file itself")
    return there


def _plan(options: argparse.Namespace, settings: "Experiment", ranks: "Ranks") -> "Plan":
    from mpisign import planning

    try:
        return planning.plan(settings, ranks)
    except BadInput as error:
        raise BadInput(str(options.job), str(error)) from None


def _slice(text: str | None, repeats: int) -> range:
    if text is None:
        return range(repeats)
    first, colon, last = text.partition(":")
    if colon and first.isdecimal() and last.isdecimal() and len(first) < 18 and len(last) < 18:
        chosen = range(int(first), int(last))
        if chosen and chosen.stop <= repeats:
            return chosen
    raise BadInput("--repeats", f"expected A:B with 0 <= A < B <= {repeats}, got {text!r}")


def _list(options: argparse.Namespace) -> None:
    from mpisign import catalogue

    print(catalogue.text())


def _info(options: argparse.Namespace) -> None:
    from mpisign import summary
    from mpisign.trajectory import Trajectory

    print(summary.text(Trajectory(options.file)))


def _merge(options: argparse.Namespace) -> None:
    from mpisign import merging

    check_output(options.output, options.overwrite)
    if options.output in options.inputs:
        raise BadInput(str(options.output), "expected another output than the inputs")
    merging.merge(options.output, options.inputs, options.virtual)
    print(f"wrote {options.output}")


def _doctor(options: argparse.Namespace) -> int:
    from mpisign.connection import first_process
    from mpisign.doctor.sections import checks

    well = True
    for check in checks(options.folder) if first_process() else ():  # a doctor under a launcher is one, too
        print(f"ok    {check.what}" if not check.advice else f"fix   {check.what}\n      {check.advice}", flush=True)
        well = well and not check.advice
    return 0 if well else 1
