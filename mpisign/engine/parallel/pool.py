"""Start processes of this machine that run repeats, early: they import what they need while this one plans the job.

They are programs of their own, not forks: MPI and BLAS's threads do not survive a fork.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from types import TracebackType
from typing import Any, Self

from mpisign.comm.launcher import cores, without_launcher
from mpisign.config import threads
from mpisign.engine.parallel.remote import Task

_WORKER = "mpisign.engine.parallel.worker"


@dataclass
class Helper:
    """A process, the pipe to it, and the repeat that it runs."""

    program: "subprocess.Popen[bytes]"
    pipe: "Connection[Any, Any]"
    task: Task = Task(-1, -1)  # noqa: RUF009 (it never changes)


class Pool:
    """The processes, while this context lasts; those that are left then are killed, as they have nothing to save.

    Args:
        count: how many are started when it begins.

    Attributes:
        helpers: the processes.
    """

    def __init__(self, count: int = 0):
        self._count, self.helpers = count, list[Helper]()

    def start(self, count: int) -> None:
        """Start so many processes, unless it is one: that is this process's own work."""
        with _terminal_spared():
            for _ in range(count if count > 1 else 0):
                self.helpers.append(_started(max(1, cores() // count)))

    def __enter__(self) -> Self:
        self.start(self._count)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for helper in self.helpers:
            helper.program.kill()
            helper.pipe.close()
        for helper in self.helpers:
            helper.program.wait()


def _started(own_cores: int) -> Helper:
    """Start a process that waits for its setup; own_cores: of those that all of them share."""
    ours, theirs = Pipe()
    paths = {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    with theirs:
        # -P and PYTHONPATH: it finds modules where this process does, and nowhere else.
        program = subprocess.Popen(
            [sys.executable, "-P", "-m", _WORKER, str(theirs.fileno())],
            env={threads.SETTING: str(own_cores)} | without_launcher(os.environ) | paths,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    return Helper(program, ours)


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
