"""Define what a check reports, and run programs that may be missing, of another make, or hang."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mpisign.config.validation import InputError


class Check(NamedTuple):
    """The result of one check.

    Attributes:
        what: What was looked at, and found.
        advice: What to do, or "" where all is well.
    """

    what: str
    advice: str = ""


def say(what: str) -> None:
    """Announce on standard error what is done now, before it takes its seconds; it is no part of what was found."""
    print(f"...   {what}", file=sys.stderr, flush=True)


def run_program(command: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever its status, and capture its output as text.

    Args:
        command: The program and its arguments.
        timeout: Seconds after which the command and all that it started are killed, and not waited for: a process
            that hangs in a file system cannot be ended.

    Raises:
        InputError: If the command cannot be started or takes longer.
    """
    name, pipe = Path(command[0]).name, subprocess.PIPE
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, errors="replace", process_group=0
        )
    except OSError as error:
        raise InputError(name, f"cannot be started: {error.strerror}") from None
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise InputError(name, f"no answer in {timeout:g} seconds") from None
    finally:
        _end(process)
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _end(process: subprocess.Popen[str]) -> None:
    """Kill a process that still runs, with all that it started, and close its pipes."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            # the process leads a group of its own, so that its children are killed with it
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def brief(text: str) -> str:
    """Return the beginning of a program's output in one line, without rulers."""
    return " ".join(word for word in text.split() if set(word) != {"-"})[:200]
