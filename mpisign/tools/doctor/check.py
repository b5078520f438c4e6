"""What a check says, and how it calls programs: they may be missing, of another make, or hang."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mpisign.config.validation import InputError


class Check(NamedTuple):
    """What was looked at, and found; advice: what to do, or "" where all is well."""

    what: str
    advice: str = ""


def say(what: str) -> None:
    """What is done now, before it takes its seconds; not a part of what was found."""
    print(f"...   {what}", file=sys.stderr, flush=True)


def run_program(command: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """A command to its end, whatever its status; its output is captured as text.

    timeout: seconds; whatever it started is killed then, and not waited for: a process that hangs in a file system
    cannot be ended. Raises InputError where it cannot be started or takes longer.
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
    """Kill a process that still runs, and what it started; hear no more of it."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def brief(text: str) -> str:
    """A program's words in one line, their beginning; no rulers."""
    return " ".join(word for word in text.split() if set(word) != {"-"})[:200]
