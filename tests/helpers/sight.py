"""What a rank sees of itself, as JSON: `python -m mpi4py -m sight FILE ARGUMENTS` writes FILE-RANK."""

import gc
import json
import os
import resource
import signal
import stat
import sys


def _kinds():
    """Return what kind of file is open under which number."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            found[number] = stat.filemode(os.fstat(int(number)).st_mode)[0]
        except OSError:
            continue  # the listing's own
    return found


def sight():
    """Return it, by name."""
    with open("/proc/self/status") as file:
        status = dict(line.split(":\t") for line in file.read().splitlines())
    kinds = _kinds()
    from mpi4py import MPI

    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    return {
        "kinds of descriptors": kinds,
        "rank and size": [MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size],
        "environment": dict(os.environ),
        "environment of what it starts": sorted(os.popen("env").read().split("\n")),
        "path": sys.path,
        "arguments": [sys.argv, sys.orig_argv],
        "folder": os.getcwd(),
        "main": sys.modules["__main__"].__spec__.name,
        "blocked": status["SigBlk"],
        "handlers": {number.name: str(signal.getsignal(number)) for number in signal.Signals},
        "mask of files": status["Umask"],
        "leads a group, a session": [os.getpgrp() == os.getpid(), os.getsid(0) == os.getpid()],
        "cores": sorted(os.sched_getaffinity(0)),
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in names},
        "nice": os.nice(0),
        "input": sys.stdin.read() if os.environ.get("PMI_RANK") == "0" else "",  # others never see its end
        "buffers lines": [sys.stdout.line_buffering, sys.stderr.line_buffering],
        "collector": [gc.isenabled(), gc.get_threshold()],
    }


if __name__ == "__main__":
    path = f"{sys.argv[1]}-{os.environ.get('PMI_RANK', os.environ.get('PMIX_RANK'))}"
    seen = sight()
    with open(path, "w") as written:
        json.dump(seen, written, indent=1)
