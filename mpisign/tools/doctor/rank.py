"""One rank of a trial launch: says in a line of JSON who it is and which cores it may use.

python -m mpi4py -m mpisign.tools.doctor.rank
"""

import json
import os
import platform
import sys

from mpi4py import MPI

from mpisign.comm.launcher import cores


def main() -> None:
    """Every rank says it; their lines are in no order."""
    affinity = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(cores()))
    world = MPI.COMM_WORLD
    who = {"rank": world.rank, "size": world.size, "host": platform.node(), "cores": affinity}
    sys.stdout.write(json.dumps(who) + "\n")
    sys.stdout.flush()
    world.Barrier()


main()
