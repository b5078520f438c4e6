"""The process that forks: it has imported everything, and becomes `python ARGUMENTS` for all who ask it (`stub.py`).

    python fork_server.py SOCKET

It ends, with all that it has forked, when its standard input does. OpenBLAS ends its threads before a fork by itself;
there are no others.
"""

import atexit
import ctypes
import gc
import io
import marshal
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import threading
from contextlib import suppress
from importlib import import_module

_LEFT_OUT = ("mpisign.__main__", "mpisign.comm.watchdog_process", "mpisign.tools")
"""What starts something when it is imported."""
_MORE = ("mpisign.compiled.mpi_calls", "mpisign.tools.dryrun.mock_communicator", "pytest", "hypothesis")


def main(path):
    """Import and fork; in a new process, become what was asked for."""
    import_everything()
    assert threading.active_count() == 1
    assert "mpi4py.MPI" not in sys.modules  # it starts MPI
    gc.freeze()  # a collection in a new process would write to, and so copy, all that it shares with this one
    request, descriptors = _Server(path).serve()
    _become(*request, descriptors)


def import_everything():
    """Import all of mpisign, with what tests of ranks need."""
    import mpisign

    modules = [module.name for module in pkgutil.walk_packages(mpisign.__path__, "mpisign.")]
    for name in (*modules, *_MORE):
        if name in _MORE or not name.startswith(_LEFT_OUT):
            import_module(name)


class _Server:
    """What forks a process for every connection, tells its status there, and kills it when the other side is gone."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        self.ended, self.wakeup = os.pipe()
        for end in (self.ended, self.wakeup):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # for those with a handler Python writes to the descriptor
        signal.set_wakeup_fd(self.wakeup, warn_on_full_buffer=False)
        self.events = selectors.DefaultSelector()
        for source in (self.listener, self.ended, sys.stdin):
            self.events.register(source, selectors.EVENT_READ)
        self.connections = {}  # by process

    def serve(self):
        """Fork; return the request and its descriptors in each new process, and end in this one."""
        print("ready", flush=True)
        while True:
            for key, _ in self.events.select():
                if key.fileobj is sys.stdin:
                    self._end()
                elif key.fileobj == self.ended:
                    self._answer()
                elif key.fileobj is not self.listener:
                    self._abandoned(key)
                elif (asked := self._accepted()) is not None:
                    return asked

    def _accepted(self):
        """Fork for a new connection; return the request in the new process alone."""
        connection, _ = self.listener.accept()
        header, descriptors, *_ = socket.recv_fds(connection, 8, 253)
        request = b""
        while len(request) < int.from_bytes(header, "big"):
            request += connection.recv(2**20)
        process = os.fork()
        if process == 0:
            self._leave(connection)
            return marshal.loads(request), descriptors
        for descriptor in descriptors:
            os.close(descriptor)
        self.connections[process] = connection
        self.events.register(connection, selectors.EVENT_READ, process)
        return None

    def _answer(self):
        """Tell the status of those that have ended."""
        os.read(self.ended, 4096)
        while self.connections:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                break
            connection = self.connections.pop(process)
            if connection.fileno() >= 0:
                self.events.unregister(connection)
                with suppress(OSError):
                    connection.send(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
                connection.close()

    def _abandoned(self, key):
        """Kill a process whose other side is gone."""
        if key.fileobj.fileno() >= 0:  # else it has ended, and was answered in the same turn
            self.events.unregister(key.fileobj)
            key.fileobj.close()
            os.kill(key.data, signal.SIGKILL)

    def _leave(self, *more):
        """Close in a new process what is this one's: the collector would close others' descriptors of these numbers."""
        signal.set_wakeup_fd(-1)
        for each in (*more, *self.connections.values(), self.listener, self.events):
            each.close()
        for end in (self.ended, self.wakeup):
            os.close(end)

    def _end(self):
        """End this process and all that it forked."""
        for process in self.connections:
            os.kill(process, signal.SIGKILL)
        os._exit(0)


def _become(arguments, numbers, environment, folder, state, descriptors):
    """Do what `python ARGUMENTS` does in a process with all that the one has that asks."""
    _place(dict(zip(numbers, descriptors, strict=True)))
    _reopen()
    os.chdir(folder)
    _inherit(*state)
    before = _path(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    assert "OMPI_MCA_mpi_ft_enable" not in environment  # mpisign.comm.mpi has read it: ranks with ULFM are real ones
    sys.orig_argv[1:] = arguments
    sys.path[: 1 + len(before)] = [folder, *_path(environment)]
    try:
        _run(arguments)
    except SystemExit as ended:
        if _mpi_runs() or not isinstance(ended.code, int | None):
            raise
        _end(ended.code or 0)
    if not _mpi_runs():
        _end(0)


def _run(arguments):
    """Run a module or a script as the interpreter does."""
    if arguments[0] == "-m":
        _, module, *sys.argv[1:] = arguments
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.argv[:] = arguments
        sys.path[0] = os.path.dirname(os.path.abspath(arguments[0]))
        runpy.run_path(arguments[0], run_name="__main__")


def _mpi_runs():
    """Return whether mpi4py has MPI to end, which it does at the interpreter's end."""
    mpi = sys.modules.get("mpi4py.MPI")
    return mpi is not None and mpi.Is_initialized() and not mpi.Is_finalized()


def _end(status):
    """End as the interpreter does, but leave the objects alone: to free them takes a fifth of a second."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.PyDLL(None).exit(status)  # not os._exit: MPICH leaves its launcher there


def _place(descriptors):
    """Leave these open and no others, each under its number."""
    kept = set(descriptors.values())
    for number in map(int, os.listdir("/dev/fd")):
        if number not in kept:
            with suppress(OSError):
                os.close(number)
    # Above all others first: the place of one may be another's number.
    above = max((*descriptors, *kept)) + 1
    for i, descriptor in enumerate(descriptors.values()):
        os.dup2(descriptor, above + i)
        os.close(descriptor)
    for i, number in enumerate(descriptors):
        os.dup2(above + i, number)
        os.close(above + i)


def _reopen():
    """Make the three files of the interpreter anew: the old ones know what was open before under their numbers."""
    sys.stdin = sys.__stdin__ = _text(0, "r", sys.stdin)
    sys.stdout = sys.__stdout__ = _text(1, "w", sys.stdout)
    sys.stderr = sys.__stderr__ = _text(2, "w", sys.stderr)


def _text(descriptor, mode, like):
    """Return a text file, encoded and buffered like another one."""
    raw = io.FileIO(descriptor, mode, closefd=False)
    if mode == "r":
        raw = io.BufferedReader(raw)
    elif not like.write_through:  # which PYTHONUNBUFFERED asks for
        raw = io.BufferedWriter(raw)
    lines = not like.write_through and (descriptor == 2 or raw.isatty())
    return io.TextIOWrapper(raw, like.encoding, like.errors, line_buffering=lines, write_through=like.write_through)


def _inherit(mask, ignored, blocked, leads, process):
    """Take what a new process has from the one that starts it."""
    os.umask(mask)
    if leads == "session":
        os.setsid()
    elif leads == "group":
        os.setpgid(0, 0)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        with suppress(OSError):  # the C library keeps some to itself
            signal.signal(number, signal.SIG_IGN if number in ignored else default)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    _take_limits(process)


def _path(environment):
    """Return what PYTHONPATH adds to the path of modules."""
    return [os.path.abspath(each) for each in environment.get("PYTHONPATH", "").split(os.pathsep) if each]


def _take_limits(process):
    """Take the cores and the limits of another process."""
    if hasattr(os, "sched_setaffinity"):
        import resource

        os.sched_setaffinity(0, os.sched_getaffinity(process))
        for name in dir(resource):
            if name.startswith("RLIMIT_"):
                limit = getattr(resource, name)
                resource.setrlimit(limit, resource.prlimit(process, limit))


if __name__ == "__main__":
    main(sys.argv[1])
