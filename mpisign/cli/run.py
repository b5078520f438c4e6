"""Add the command that runs a job."""

import argparse
import errno
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpisign.cli.arguments import command, positive, processes
from mpisign.comm.stop_poll import StopPoll
from mpisign.config.validation import InputError, one_line
from mpisign.stop_signals import StopSignals
from mpisign.storage.output_file import check_output, output_path

_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers for a disk without room, or a user's quota of it."""

if TYPE_CHECKING:
    from mpisign.comm.communicator import Communicator
    from mpisign.comm.teams import Team
    from mpisign.config.experiment import Experiment
    from mpisign.engine.planning import Plan
    from mpisign.engine.runner import Mode


_EXAMPLES = """examples:
  mpisign init quickstart
  mpisign run quickstart.toml -o results/quickstart.h5
  mpirun -n 4 python -m mpi4py -m mpisign run quickstart.toml -o results/quickstart.h5
  mpisign run quickstart.toml -o quick.h5 --set iterations=100 --set runs.0.step.alpha=0.1
  mpisign run quickstart.toml -o quick.h5 --repeats 0:2 --dry-run
  mpisign run quickstart.toml -o results/quickstart.h5 --jobs 2
  mpisign run quickstart.toml -o results/quickstart.h5 --jobs auto --resume
  mpirun -n 8 python -m mpi4py -m mpisign run quickstart.toml -o results/quickstart.h5 --teams 2
  mpirun -n 4 python -m mpi4py -m mpisign run quickstart.toml -o quick.h5 --exchange auto
  mpirun -n 4 python -m mpi4py -m mpisign run quickstart.toml -o results/quickstart.h5 --resume

exit status:
  0    the file is written; what diverged is said
  1    the system refused something, such as room on a disk, or a process was killed; --resume goes on
  2    the job, its data or an option is not as expected
  75   a signal asked for a stop: all is written, and the same command with --resume goes on
  130  interrupted by Ctrl-C

environment:
  MPISIGN_THREADS  how many threads a process computes with (default: its cores, those of a machine over its ranks)
  MPISIGN_COMPILE  always or never compile iterations (default: where that wins time)
  NUMBA_CACHE_DIR  where compiled routines are kept (default: beside the package, or in the cache folder)
  XDG_CACHE_HOME   where f* and the constants of data are kept, in mpisign/ (default: ~/.cache)
"""


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command and its options to a parser's commands."""
    run = command(commands, "run", "run a job file and write its trajectories", _EXAMPLES)
    run.add_argument("job", type=Path, metavar="JOB.toml", help="the job file")
    run.add_argument(
        "-o", "--output", type=output_path, required=True, metavar="FILE.h5", help="the trajectory file to write"
    )
    there = run.add_mutually_exclusive_group()
    there.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    there.add_argument("--resume", action="store_true", help="go on with the output, or start it if there is none")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the job, e.g. seed=2; runs that have iterations or an oracle of their own keep them, "
        "unless by e.g. runs.0.iterations=9",
    )
    run.add_argument(
        "--exchange",
        metavar="NAME",
        help="how messages travel: server, sharded, node, one of your own as package.module:Name, or auto, which tries "
        "each on these ranks, takes the fastest and says why (default: the job's, or else server)",
    )
    run.add_argument(
        "--on-failure",
        choices=("abort", "continue"),
        default="abort",
        help="when a rank dies: end all (--resume goes on), or go on without it by Open MPI's ULFM (default: abort)",
    )
    run.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything, run and write nothing; say what memory, bits, time and commands it takes",
    )
    run.add_argument("--repeats", metavar="A:B", help="only the repeats A to B-1, e.g. 0:5 (default: all)")
    run.add_argument(
        "--jobs",
        type=processes,
        default=1,
        metavar="N",
        help="run repeats side by side, by N processes of this machine and without MPI; auto: one a core (default: 1)",
    )
    run.add_argument(
        "--teams",
        type=positive,
        default=1,
        metavar="T",
        help="run repeats side by side, by T teams of ranks, each with a server and workers of its own (default: 1)",
    )
    run.set_defaults(command=partial(_run, run))


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Run a job, or forecast what it takes."""
    from mpisign.cli.shadowed import shadowed
    from mpisign.comm.startup import connect, for_jobs
    from mpisign.engine.parallel.pool import Pool

    jobs = 1 if options.dry_run else options.jobs
    with StopSignals() as signals, connect() as own, for_jobs(jobs, own, "--jobs") as ranks, Pool() as pool:
        team = _team(options, ranks)
        experiment, repeats, there = _checked(options, ranks)
        pool.start(min(jobs, len(repeats) * len(experiment.runs)))  # now: they take as long to start as a plan does
        plan, repeats, resume = _prepared(options, ranks, team, experiment, repeats, there)
        for line in shadowed(plan.experiment) if ranks.root else ():
            print(one_line(line))
        StopPoll(ranks, signals).stop()
        from mpisign.engine import elastic, resuming, runner  # what can be refused is, before half a second of imports

        if options.dry_run:
            from mpisign.tools.dryrun import report  # slow to import

            return report.show(report.DryRunRequest(plan, repeats, _given(parser, options)), ranks)
        whole = resume and ranks.root and resuming.is_complete(options.output, plan.experiment, repeats)
        run = elastic.run if options.on_failure == "continue" else partial(runner.run, pool=pool, team=team)
        with _saying_what_to_do():
            diverged = run(plan, ranks, options.output, repeats, _mode(options, resume))
        for label, ks in diverged.items():
            if ks:
                print(f"{label!r}: {len(ks)} of {_counted(repeats)} diverged, the first at k = {min(ks)}")
        if ranks.root:
            _say_wrote(options.output, whole)


def _team(options: argparse.Namespace, ranks: "Communicator") -> "Team | None":
    """Return this rank's team, None where all ranks are one; every rank calls it.

    Raises:
        InputError: The ranks do not make that many teams.
    """
    from mpisign.comm.teams import split

    if options.teams == 1 or options.dry_run:
        return None
    if options.on_failure == "continue":
        raise InputError("--teams", "expected no --on-failure continue: a team that loses its server cannot go on")
    return split(ranks, options.teams, "--teams")


def _mode(options: argparse.Namespace, resume: bool) -> "Mode":
    """Return how the output is opened."""
    return "resume" if resume else "overwrite" if options.overwrite else "create"


def _say_wrote(output: Path, whole: bool) -> None:
    """Print the remarks on a file, and that it is written, or was whole already."""
    from mpisign.storage.remarks import remarks
    from mpisign.storage.trajectory import Trajectory

    for remark in remarks(Trajectory(output)):
        print(one_line(remark))
    print(f"{output} was complete already: nothing is left to resume" if whole else f"wrote {output}")


def _counted(repeats: range) -> str:
    """Return a number of repeats in words."""
    return "1 repeat" if len(repeats) == 1 else f"{len(repeats)} repeats"


@contextmanager
def _saying_what_to_do() -> Iterator[None]:
    """Add a note to an error in a repeat, which leaves a file that can be resumed: how to go on."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if hasattr(error, "__notes__"):
            room = "make room, and " if isinstance(error, OSError) and error.errno in _FULL else ""
            error.add_note(f"{room}--resume goes on from the last checkpoint")
        raise


def _checked(options: argparse.Namespace, ranks: "Communicator") -> "tuple[Experiment, range, bool]":
    """Return the experiment, the repeats, and whether the output is there; collective.

    What can be refused without a plan is refused here.
    """
    experiment, repeats = ranks.raise_collectively(lambda: _read(options))
    # the root alone looks at the output; `raise_collectively` tells its complaint to all ranks
    there = ranks.raise_collectively(lambda: ranks.root and _checked_output(options))
    if options.on_failure == "continue":
        from mpisign.engine import elastic

        ranks.raise_collectively(lambda: elastic.refuse_where_impossible(ranks, experiment.exchange))
    return experiment, repeats, there


def _prepared(
    options: argparse.Namespace,
    ranks: "Communicator",
    team: "Team | None",
    experiment: "Experiment",
    repeats: range,
    there: bool,
) -> "tuple[Plan, range, bool]":
    """Return the plan, the repeats, and whether a file is resumed; collective.

    What else can be refused is refused here, before anything is written.
    """
    if ranks.broadcast_bool(options.resume and there):
        from mpisign.engine import resuming

        asked = repeats if options.repeats else None
        plan = partial(_plan, options, team)
        return *resuming.planned(options.output, experiment, asked, ranks, plan), True
    return ranks.raise_collectively(lambda: _plan(options, team, experiment, ranks)), repeats, False


def _given(parser: argparse.ArgumentParser, options: argparse.Namespace) -> dict[str, object]:
    """Return the job, the output, and the options that are not at their defaults, by name."""
    bare = vars(parser.parse_args(["JOB", "-o", "FILE"]))
    kept = ("job", "output")
    return {name: value for name, value in vars(options).items() if name in kept or value != bare.get(name)}


def _read(options: argparse.Namespace) -> "tuple[Experiment, range]":
    """Return the experiment, and those of its repeats that are asked for."""
    from mpisign.config.experiment import read

    chosen = [f"exchange={options.exchange}"] if options.exchange else []
    experiment = read(options.job, options.set + chosen)
    return experiment, _slice(options.repeats, experiment.repeats)


def _checked_output(options: argparse.Namespace) -> bool:
    """Return whether the output exists already.

    Raises:
        InputError: If it cannot be written, or is the job file.
    """
    instead = "give --resume to go on with it, or --overwrite to replace it"
    check_output(options.output, options.overwrite or options.resume, instead)
    there: bool = options.output.exists()
    if there and options.output.samefile(options.job):
        raise InputError(str(options.output), "expected another output than the job file itself")
    return there


def _plan(options: argparse.Namespace, team: "Team | None", experiment: "Experiment", ranks: "Communicator") -> "Plan":
    """Return the plan of an experiment, which a team of the ranks or all of them run; collective.

    Raises:
        InputError: If the job is refused; the error names the option or the job file.
    """
    from mpisign.engine import planning

    try:
        return planning.plan(experiment, team or ranks)
    except InputError as error:
        on_the_line = options.exchange and error.key == "exchange"
        raise InputError(
            *(("--exchange", error.complaint) if on_the_line else (str(options.job), str(error)))
        ) from None


def _slice(text: str | None, repeats: int) -> range:
    """Return the repeats A to B-1 that A:B asks for, or all.

    Raises:
        InputError: If the text is no such slice.
    """
    if text is None:
        return range(repeats)
    first, colon, last = text.partition(":")
    if colon and first.isdecimal() and last.isdecimal() and len(first) < 18 and len(last) < 18:
        chosen = range(int(first), int(last))
        if chosen and chosen.stop <= repeats:
            return chosen
    raise InputError("--repeats", f"expected A:B with 0 <= A < B <= {repeats}, got {text!r}")
