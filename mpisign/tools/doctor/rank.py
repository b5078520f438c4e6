"""Run as one rank of a trial launch: print a line of JSON with who it is and which cores it may use.

python -m mpi4py -m mpisign.tools.doctor.rank
"""

import json
import os
import platform
import sys

from mpi4py import MPI

from mpisign.comm.launcher import cores


def main() -> None:
    """Print this rank's line; the lines of the ranks are in no order."""
    affinity = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(cores()))
    world = MPI.COMM_WORLD
    who = {"rank": world.rank, "size": world.size, "host": platform.node(), "cores": affinity}
    sys.stdout.write(json.dumps(who) + "\n")
    sys.stdout.flush()
    # no rank leaves before all are there: ranks of one world prove that they reach each other
    world.Barrier()


main()
