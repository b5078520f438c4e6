"""Run repeats by several processes of this machine, without MPI; this one deals them out and writes the file.

Each does what one process does, and its numbers are the same bit for bit.
"""

import signal
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import send_handle
from typing import Any, NamedTuple

from mpisign.comm.shared_arrays import Lent
from mpisign.config.experiment import Experiment, with_workers
from mpisign.config.validation import InputError
from mpisign.engine.parallel.desk import Desk
from mpisign.engine.parallel.pool import Helper, Pool
from mpisign.engine.planning import Plan
from mpisign.problems import Minimum, Problem
from mpisign.stop_signals import StopRequested, StopSignals

_LOOK = 0.1
"""Seconds between two looks at this process's own signals, at most."""


class Setup(NamedTuple):
    """What a process is told before its first repeat.

    Attributes:
        experiment: the experiment, with every M settled.
        exchanges: the exchange of each run.
        lent: data that are in memory already; their descriptors follow.
        minimum: f* with its error.
    """

    experiment: Experiment
    exchanges: Sequence[str]
    lent: Sequence[Lent]
    minimum: Minimum | None


def check_jobs(jobs: int, experiment: Experiment, made: Problem | None) -> None:
    """Raise InputError if so many processes could not all make the kinds of an experiment, and the problem `made`."""
    if not isinstance(jobs, int) or jobs < 1:
        raise InputError("jobs", f"expected a whole number of at least 1, got {jobs!r}")
    if jobs > 1 and (made is not None or "__main__:" in experiment.text):
        what = "the experiment has an object that no job file can describe, or a class of this script or notebook"
        raise InputError("jobs", f"expected 1: {what}, which other processes would not find; put it into a module")


def run_repeats(
    planned: Plan, exchanges: Sequence[str], desk: Desk, signals: StopSignals, pool: Pool, lent: Sequence[Lent]
) -> None:
    """Run the repeats that are left by the processes of a pool.

    Raises:
        StopRequested: this process or one of the others was sent a signal; all states were saved.
        ChildProcessError: a process was killed or has failed; the states of the others were saved.
    """
    experiment = with_workers(planned.experiment, [run.workers for run in planned.runs])
    try:
        _Dealer(desk, pool.helpers).run(Setup(experiment, exchanges, lent, planned.minimum), signals)
    except (Exception, KeyboardInterrupt) as error:
        if not hasattr(error, "__notes__"):
            error.add_note(f"by {len(pool.helpers)} processes")  # as a repeat of one process says where it was
        raise


class _Dealer:
    """Who deals the repeats out.

    Args:
        desk: what has the repeats and the file.
        helpers: the processes.
    """

    def __init__(self, desk: Desk, helpers: list[Helper]):
        self._desk, self._helpers = desk, helpers
        self._busy: dict[Connection[Any, Any], Helper] = {}
        self._asked = 0
        self._failure: ChildProcessError | None = None

    def run(self, setup: Setup, signals: StopSignals) -> None:
        """Deal repeats out until none is left, or until a stop is asked for and all have saved their states."""
        for helper in self._helpers:
            self._set_up(helper, setup)
            self._give(helper)
        while self._busy:
            for pipe in wait(list(self._busy), _LOOK):
                self._hear(self._busy[pipe])  # type: ignore[index]
            if signals.number:
                self._stop(signals.number)
        if self._failure or (self._asked and not self._desk.over):
            self._desk.commit()
            raise self._failure or StopRequested(self._asked)

    def _set_up(self, helper: Helper, setup: Setup) -> None:
        """Tell a process what it works on, and lend it the data; that it has died is heard when it is listened to."""
        self._busy[helper.pipe] = helper
        with suppress(BrokenPipeError, ConnectionResetError):
            helper.pipe.send(setup)
            for lent in setup.lent:
                send_handle(helper.pipe, lent.descriptor, helper.program.pid)

    def _give(self, helper: Helper) -> None:
        """Give a process the next repeat, or none if none is left or a stop was asked for."""
        if self._asked or not self._desk.left:
            return self._dismiss(helper)
        helper.task = self._desk.left.popleft()
        kept = self._desk.open(helper.task)
        with suppress(BrokenPipeError, ConnectionResetError):
            helper.pipe.send((helper.task, kept))

    def _hear(self, helper: Helper) -> None:
        """Do what a process says."""
        try:
            name, arguments = helper.pipe.recv()
        except (EOFError, ConnectionResetError):
            return self._lost(helper)
        if name == "stopped":
            self._dismiss(helper)
            self._stop(*arguments)
        elif name == "failed":
            self._dismiss(helper)
            self._fail(ChildProcessError(*arguments), f"one of {len(self._helpers)} processes has failed")
        else:
            self._desk.take(helper.task, name, arguments)
            if name == "finish":
                self._give(helper)

    def _lost(self, helper: Helper) -> None:
        """Note that a process has died; by a signal that asks for a stop, it was just starting."""
        self._dismiss(helper)
        status = helper.program.wait()
        if status in (-signal.SIGTERM, -signal.SIGUSR1):
            return self._stop(-status)
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        self._fail(ChildProcessError(f"process {helper.program.pid} {how}"), self._desk.where(helper.task))

    def _fail(self, error: ChildProcessError, where: str) -> None:
        """Keep the first failure, and ask the others to save their states."""
        error.add_note(where)
        self._failure = self._failure or error
        self._stop(signal.SIGUSR1)

    def _stop(self, number: int) -> None:
        """Ask all processes to stop, once."""
        for helper in self._busy.values() if not self._asked else ():
            helper.program.send_signal(number)
        self._asked = self._asked or number

    def _dismiss(self, helper: Helper) -> None:
        """Listen to a process no more; it ends when its pipe does."""
        del self._busy[helper.pipe]
        helper.pipe.close()
