"""What stands in a process's place: `python -I -S stub.py SOCKET ARGUMENTS` is `python ARGUMENTS`, quickly.

The process itself is forked by `fork_server.py`, from one that has imported everything. It gets the file descriptors,
the environment, the folder and the limits of this one, which waits for its end, and ends as it does. When this one is
killed, so is the other. Only what is compiled into the interpreter is imported: a rank starts in some milliseconds.
"""

import _signal
import _socket
import marshal
import os
import sys


def ask(path, arguments, descriptors, environment, folder):
    """Have `python ARGUMENTS` run; returns the connection, which brings its status, and ends it when it is closed.

    Args:
        path: the server's socket.
        arguments: of the interpreter, that is `-m` and a module, or a script, with theirs.
        descriptors: a number in the new process -> the descriptor here.
        environment: the environment, all of it.
        folder: where it runs.
    """
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.connect(path)
    request = marshal.dumps((arguments, list(descriptors), environment, folder, _state()))
    rights = b"".join(number.to_bytes(4, sys.byteorder) for number in descriptors.values())
    connection.sendmsg([len(request).to_bytes(8, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
    connection.sendall(request)
    return connection


def _state():
    """Return what else a new process inherits: what is ignored and blocked, and what the server asks the system for."""
    mask = os.umask(0)
    os.umask(mask)
    ignored = [number for number in _signal.valid_signals() if _signal.getsignal(number) == _signal.SIG_IGN]
    blocked = [int(number) for number in _signal.pthread_sigmask(_signal.SIG_BLOCK, [])]
    own = os.getpid()
    leads = "session" if os.getsid(0) == own else "group" if os.getpgrp() == own else ""
    return mask, ignored, blocked, leads, own


def status_of(connection):
    """Wait for the process's end; returns its status, negative for a signal."""
    answer = connection.recv(4)
    return int.from_bytes(answer, "big", signed=True) if answer else 1


def _open_descriptors():
    """Return the descriptors that this process was given; the one of the folder that is listed is closed by then."""
    found = {}
    for number in map(int, os.listdir("/dev/fd")):
        try:
            os.fstat(number)
        except OSError:
            continue
        found[number] = number
    return found


def main():
    """Have another process run what this one is asked for, and end as it does."""
    path, *arguments = sys.argv[1:]
    connection = ask(path, arguments, _open_descriptors(), dict(os.environ), os.getcwd())
    status = status_of(connection)
    if status < 0:
        if -status != _signal.SIGKILL:
            _signal.signal(-status, _signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


if __name__ == "__main__":
    main()
