"""Processes that need not import everything anew: they are forked from one that has (`fork_server.py`).

A short command takes a fifth of the time. There is a server for each interpreter, and for each setting of the
variables that are read while modules are imported; it ends with this process.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import stub

_READ_AT_IMPORT = ("GLIBC_", "HDF5_", "LANG", "LC_", "LD_", "MALLOC_", "MKL_", "MPL", "NPY_", "NUMBA_", "OMP_")
_READ_AT_IMPORT += ("OPENBLAS_", "PYTHON", "SCIPY_", "XDG_")
"""How the variables begin that a process forked later does not read any more."""


def read_at_import(variables):
    """Return those of the variables that are read while modules are imported; not PYTHONPATH, which is set anew."""
    return {
        name: value for name, value in variables.items() if name.startswith(_READ_AT_IMPORT) and name != "PYTHONPATH"
    }


def run(arguments, cwd, environment, timeout):
    """Run `mpisign ARGUMENTS` to its end; returns the finished process with its text output."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, open(os.devnull, "rb") as nothing:
        descriptors = {number: file.fileno() for number, file in enumerate((nothing, out, err))}
        arguments = ["-m", "mpisign", *arguments]
        connection = stub.ask(server(sys.executable, environment), arguments, descriptors, environment, str(cwd))
        connection.settimeout(timeout)
        try:
            status = stub.status_of(connection)
        except TimeoutError:
            raise subprocess.TimeoutExpired(arguments, timeout) from None
        finally:
            connection.close()
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
        return subprocess.CompletedProcess(arguments, status, *texts)


def rank(python, environment):
    """Return what stands for `python` in the command of a launcher."""
    return [python, "-I", "-S", stub.__file__, server(python, environment)]


def programs(environment):
    """Return a folder with `python` and `mpisign` that do what those beside this interpreter do, quickly.

    A signal that one of them is sent kills it: where signals are the subject, the real ones are needed.
    """
    stand_in = shlex.join(map(str, rank(sys.executable, environment)))
    folder = Path(server(sys.executable, environment)).parent
    script = shlex.quote(str(Path(sys.executable).with_name("mpisign")))
    for name, command in {"python": stand_in, "mpisign": f"{stand_in} {script}"}.items():
        (folder / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


def server(python, environment):
    """Return the socket of the server for this interpreter and environment, which is started if there is none."""
    return _server(str(python), frozenset(read_at_import(environment).items()))[0]


@cache
def _server(python, variables):
    folder = tempfile.TemporaryDirectory()  # removed when this process ends, as the pipe is closed then
    path = f"{folder.name}/socket"
    helpers = Path(__file__).parent
    more = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": f"{helpers}{os.pathsep}{helpers.parents[1]}"}
    process = subprocess.Popen(
        [python, helpers / "fork_server.py", path],
        env=dict(variables) | more,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # an interrupt at the keyboard is for those who ask
    )
    assert process.stdout.readline() == b"ready\n"
    return path, folder, process
