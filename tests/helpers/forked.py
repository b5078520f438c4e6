"""Run `mpisign` in a process of its own that need not import everything anew: it is forked from one that has.

A short command takes a fifth of the time. Run as a program, this is the process that forks: it reads a line of JSON
for each command, and answers with the number of the new process and, when that has ended, with its exit status.
"""

import atexit
import json
import os
import pkgutil
import runpy
import select
import subprocess
import sys
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path

_LEFT_OUT = ("mpisign.__main__", "mpisign.comm.mpi", "mpisign.comm.watchdog_process", "mpisign.tools")
"""What starts something when it is imported, or needs MPI."""


def run(arguments, cwd, environment, timeout):
    """Run `mpisign ARGUMENTS` to its end; returns the finished process with its text output."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = (Path(folder) / name for name in ("out", "err"))
        request = {"arguments": arguments, "cwd": str(cwd), "environment": environment}
        server = _server()
        server.stdin.write(json.dumps(request | {"out": str(out), "err": str(err)}).encode() + b"\n")
        process = int(server.stdout.readline())
        if not select.select([server.stdout], [], [], timeout)[0]:
            os.kill(process, 9)
            server.stdout.readline()
            raise subprocess.TimeoutExpired(arguments, timeout)
        status = int(server.stdout.readline())
        return subprocess.CompletedProcess(arguments, status, out.read_text(), err.read_text())


@cache
def _server():
    """The process that forks, started when it is first needed; it ends with its standard input."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    # No buffer: it would take an answer that `select` is to see.
    return subprocess.Popen([sys.executable, __file__], bufsize=0, **pipes)


def _serve():
    """Fork for every line of standard input."""
    import mpisign

    for module in pkgutil.walk_packages(mpisign.__path__, "mpisign."):
        if not module.name.startswith(_LEFT_OUT):
            import_module(module.name)
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            _command(**json.loads(line))
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


def _command(arguments, cwd, environment, out, err):
    """Do what `python -m mpisign ARGUMENTS` does, and end this process."""
    for descriptor, path, mode in ((0, os.devnull, os.O_RDONLY), (1, out, os.O_WRONLY), (2, err, os.O_WRONLY)):
        os.dup2(os.open(path, mode | os.O_CREAT, 0o600), descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = str(cwd)
    sys.argv = ["mpisign", *arguments]
    status = 1
    try:
        runpy.run_module("mpisign", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        status = ended.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _serve()
