"""Run Example 5 as a plain mpi4py program: dense gradients are gathered, their mean is broadcast.

    mpiexec -n 3 python -m mpi4py plain.py ROWS.npy BATCH ITERATIONS

It is a program of its own, the simplest one would write by hand, which shares no code with mpisign. ROWS: c_i = b_i
a_i, float32, shape (n, d). Rank 0 is the server, the other ranks are the workers. It prints {"seconds": of an
iteration, "norm": ||x_K||}.
"""

import json
import sys
import time
from typing import Any

import numpy as np

WARM_UP = 20
ALPHA = 2.0


def gradient(rows: Any, x: Any) -> Any:
    """Return the gradient of the mean of log(1 + exp(-c_i'x)) over `rows`, float64, without the regulariser."""
    pulls = 1 / (1 + np.exp(rows @ x))
    return -(pulls @ rows) / len(rows)


def main(path: str, batch: int, iterations: int) -> None:
    """Train, and print one line on rank 0."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    rows = np.load(path, mmap_mode="r" if comm.rank == 0 else None)
    n, d = rows.shape
    rng = np.random.default_rng(comm.rank)
    x, g = np.zeros(d), np.zeros(d)
    gathered = np.empty((comm.size, d)) if comm.rank == 0 else None
    start = 0.0
    for k in range(WARM_UP + iterations):
        if k == WARM_UP:
            comm.Barrier()
            start = time.perf_counter()
        if comm.rank > 0:
            # One conversion to float64: left to the two products, each would make its own.
            chosen = rows[rng.integers(0, n, batch)].astype(np.float64)
            g = gradient(chosen, x) + x / n
        comm.Gather(g, gathered, root=0)
        if gathered is not None:
            g = gathered[1:].mean(axis=0)
        comm.Bcast(g, root=0)
        x -= ALPHA * g
    seconds = (time.perf_counter() - start) / iterations
    if comm.rank == 0:
        print(json.dumps({"seconds": seconds, "norm": float(np.linalg.norm(x))}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
