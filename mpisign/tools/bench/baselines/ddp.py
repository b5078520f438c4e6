"""Run Example 5 with PyTorch: DistributedDataParallel over gloo, one process a worker.

    python ddp.py ROWS.npy BATCH ITERATIONS MEETING RANK WORKERS        (each rank, at the same time)

It is a program of its own, which shares no code with mpisign. ROWS: c_i = b_i a_i, float32, shape (n, d). MEETING: a
file that is not there yet, by which the processes find each other. Rank 0 prints {"seconds": of an iteration, "norm":
||x_K||}.
"""

import json
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.functional import softplus
from torch.nn.parallel import DistributedDataParallel

WARM_UP = 20
ALPHA = 2.0


def model(dimension: int) -> Any:
    """Return x -> c'x with x_0 = 0, float32."""
    linear = nn.Linear(dimension, 1, bias=False)
    nn.init.zeros_(linear.weight)
    return linear


def optimiser(module: Any, samples: int) -> Any:
    """Return SGD; the regulariser ||x||^2 / 2n is its weight decay."""
    return torch.optim.SGD(module.parameters(), lr=ALPHA, weight_decay=1 / samples)


def step(module: Any, sgd: Any, rows: Any) -> None:
    """Take one step down the mean of log(1 + exp(-c_i'x)) over `rows`, a tensor of shape (batch, d)."""
    sgd.zero_grad()
    softplus(-module(rows)).mean().backward()
    sgd.step()


def train(path: str, batch: int, iterations: int, rank: int) -> dict[str, float]:
    """Return the seconds an iteration, and the norm of the last x."""
    rows = torch.from_numpy(np.load(path))
    n, d = rows.shape
    generator = torch.Generator().manual_seed(rank)
    module = DistributedDataParallel(model(d))
    sgd, start = optimiser(module, n), 0.0
    for k in range(WARM_UP + iterations):
        if k == WARM_UP:
            distributed.barrier()
            start = time.perf_counter()
        step(module, sgd, rows[torch.randint(n, (batch,), generator=generator)])
    seconds = (time.perf_counter() - start) / iterations
    return {"seconds": seconds, "norm": float(module.module.weight.detach().norm())}


def main(path: str, batch: int, iterations: int, rendezvous: str, rank: int, workers: int) -> None:
    """Meet the others, train, and print one line on rank 0."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=workers)
    found = train(path, batch, iterations, rank)
    if rank == 0:
        print(json.dumps(found), flush=True)
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5]), int(sys.argv[6]))
