"""Run repeats by several processes of this machine, without MPI; this one deals them out and writes the file.

The processes are programs of their own, not forks: MPI and BLAS's threads do not survive a fork. Each does what one
process does, and its numbers are the same bit for bit.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from types import TracebackType
from typing import Any, NamedTuple, Self

from mpisign.comm.launcher import without_launcher
from mpisign.comm.shared_arrays import Lent
from mpisign.config.experiment import Experiment, with_workers
from mpisign.config.validation import InputError
from mpisign.engine.parallel.desk import Desk
from mpisign.engine.parallel.remote import Task
from mpisign.engine.planning import Plan
from mpisign.problems import Problem
from mpisign.stop_signals import StopRequested, StopSignals

_WORKER = "mpisign.engine.parallel.worker"
_LOOK = 0.1
"""Seconds between two looks at this process's own signals, at most."""


class Setup(NamedTuple):
    """What a process is told before its first repeat.

    Attributes:
        experiment: the experiment, with every M settled.
        exchanges: the exchange of each run.
        lent: data that are in memory already.
    """

    experiment: Experiment
    exchanges: Sequence[str]
    lent: Sequence[Lent]


def check_jobs(jobs: int, experiment: Experiment, made: Problem | None) -> None:
    """Raise InputError if so many processes could not all make the kinds of an experiment, and the problem `made`."""
    if not isinstance(jobs, int) or jobs < 1:
        raise InputError("jobs", f"expected a whole number of at least 1, got {jobs!r}")
    if jobs > 1 and (made is not None or "__main__:" in experiment.text):
        what = "the experiment has an object that no job file can describe, or a class of this script or notebook"
        raise InputError("jobs", f"expected 1: {what}, which other processes would not find; put it into a module")


def run_repeats(
    planned: Plan, exchanges: Sequence[str], desk: Desk, signals: StopSignals, jobs: int, lent: Sequence[Lent]
) -> None:
    """Run the repeats that are left by at most `jobs` processes.

    Raises:
        StopRequested: this process or one of the others was sent a signal; all states were saved.
        ChildProcessError: a process was killed or has failed; the states of the others were saved.
    """
    experiment = with_workers(planned.experiment, [run.workers for run in planned.runs])
    with _Processes(desk, Setup(experiment, exchanges, lent), min(jobs, len(desk.left))) as processes:
        processes.run(signals)


@dataclass
class _Process:
    """A process, the pipe to it, and the repeat that it runs."""

    program: "subprocess.Popen[bytes]"
    pipe: "Connection[Any, Any]"
    task: Task


class _Processes:
    """The processes, while they run; those that are left are killed at the end, as they have nothing to save."""

    def __init__(self, desk: Desk, setup: Setup, count: int):
        self._desk, self._setup, self._count = desk, setup, count
        self._all: list[_Process] = []
        self._busy: dict[Connection[Any, Any], _Process] = {}
        self._asked = 0
        self._failure: ChildProcessError | None = None

    def run(self, signals: StopSignals) -> None:
        """Deal repeats out until none is left, or until a stop is asked for and all have saved their states."""
        for process in self._all:
            self._send(process, self._setup)
            self._give(process)
        while self._busy:
            for pipe in wait(list(self._busy), _LOOK):
                self._hear(self._busy[pipe])  # type: ignore[index]
            if signals.number:
                self._stop(signals.number)
        if self._failure or (self._asked and not self._desk.over):
            self._desk.commit()
            raise self._failure or StopRequested(self._asked)

    def _give(self, process: _Process) -> None:
        """Give a process the next repeat, or none if none is left or a stop was asked for."""
        if self._asked or not self._desk.left:
            self._dismiss(process)
        else:
            process.task = self._desk.left.popleft()
            self._send(process, (process.task, self._desk.open(process.task)))

    def _send(self, process: _Process, message: object) -> None:
        """Send a message; that its receiver has died is heard when it is listened to."""
        self._busy[process.pipe] = process
        with suppress(BrokenPipeError, ConnectionResetError):
            process.pipe.send(message)

    def _hear(self, process: _Process) -> None:
        """Do what a process says."""
        try:
            name, arguments = process.pipe.recv()
        except (EOFError, ConnectionResetError):
            return self._lost(process)
        if name == "stopped":
            self._dismiss(process)
            self._stop(*arguments)
        elif name == "failed":
            self._dismiss(process)
            self._fail(ChildProcessError(*arguments))
        else:
            self._desk.take(process.task, name, arguments)
            if name == "finish":
                self._give(process)

    def _lost(self, process: _Process) -> None:
        """Note that a process has died; by a signal that asks for a stop, it was just starting."""
        self._dismiss(process)
        status = process.program.wait()
        if status in (-signal.SIGTERM, -signal.SIGUSR1):
            return self._stop(-status)
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        error = ChildProcessError(f"process {process.program.pid} {how}")
        error.add_note(self._desk.where(process.task))
        self._fail(error)

    def _fail(self, error: ChildProcessError) -> None:
        """Keep the first failure, and ask the others to save their states."""
        if not hasattr(error, "__notes__"):
            error.add_note(f"one of {self._count} processes has failed")
        self._failure = self._failure or error
        self._stop(signal.SIGUSR1)

    def _stop(self, number: int) -> None:
        """Ask all processes to stop, once."""
        for process in self._busy.values() if not self._asked else ():
            process.program.send_signal(number)
        self._asked = self._asked or number

    def _dismiss(self, process: _Process) -> None:
        """Listen to a process no more; it ends when its pipe does."""
        del self._busy[process.pipe]
        process.pipe.close()

    def __enter__(self) -> Self:
        with _terminal_spared():
            for _ in range(self._count):
                self._all.append(_started(self._setup.lent))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._all:
            process.program.kill()
            process.pipe.close()
        for process in self._all:
            process.program.wait()
        if isinstance(error, Exception | KeyboardInterrupt) and not hasattr(error, "__notes__"):
            error.add_note(f"by {self._count} processes")  # as a repeat of one process says where it was


def _started(lent: Sequence[Lent]) -> _Process:
    """Start a process that waits for its setup."""
    ours, theirs = Pipe()
    with theirs:
        # -P and PYTHONPATH: it finds modules where this process does, and nowhere else.
        program = subprocess.Popen(
            [sys.executable, "-P", "-m", _WORKER, str(theirs.fileno())],
            env=without_launcher(os.environ) | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno(), *(each.descriptor for each in lent)],
        )
    return _Process(program, ours, Task(-1, -1))


@contextmanager
def _terminal_spared() -> Iterator[None]:
    """Start programs that ignore Ctrl-C, which the terminal sends to them too: this process ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
