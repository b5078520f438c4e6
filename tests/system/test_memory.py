"""What a rank holds: its batch and vectors of length d. The data is in memory once, however many workers there are."""

import math
import re

import pytest

from launch import call, programs
from mpisign.cli.main import main
from mpisign.problems import PROBLEMS, Minimum
from mpisign.problems.reference_solution import CertifiedOptimum, keep

pytestmark = pytest.mark.ranks

N, D = 40000, 800
DATA = 4 * N * D / 1024
"""The data, in kB."""

JOB = """
iterations = 200
problem = { kind = "logistic", data = "rows.h5" }
oracle = { kind = "minibatch", batch = 64 }
log = { points = 20 }
[[runs]]
method = "scaled-sign"
scale = "mean"
step = { kind = "constant", alpha = 1.0 }
"""

RANK = """
import sys, threading
import mpisign.comm.startup, mpisign.aggregation.node_exchange, mpisign.engine.runner, mpisign.comm.mpi
from mpisign.cli.main import main

def private():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))

peak, over, before = [0], threading.Event(), private()

def watch():
    while not over.wait(0.002):
        peak[0] = max(peak[0], private())

thread = threading.Thread(target=watch)
thread.start()
assert main(sys.argv[1:]) == 0
over.set()
thread.join()
sys.stdout.write(f"held {peak[0] - before} kB, ")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A job, its data, and 0 <= f* <= log 2 as all that is known of it: to find f* takes minutes."""
    folder = tmp_path_factory.mktemp("memory")
    synth = ["data", "synth", "--like", "epsilon", str(folder / "rows.h5"), "--n", str(N), "--d", str(D)]
    assert main([*synth, "--dtype", "float32"]) == 0
    (folder / "job.toml").write_text(JOB)
    problem = PROBLEMS.make({"kind": "logistic", "data": str(folder / "rows.h5")}, "problem")
    keep(problem, CertifiedOptimum(Minimum(math.log(2) / 2, math.log(2) / 2), {}), folder / "cache")
    return folder


@pytest.mark.parametrize(("workers", "exchange"), [(1, "server"), (2, "server"), (4, "node")])
def test_no_rank_holds_the_data(workers, exchange, folder):
    """Private memory at its peak, beyond what the imports took, is a part of the data's size, for more ranks too."""
    bin = programs("mpich")
    rank = [bin / "python", "-m", "mpi4py", "-c", RANK]
    run = ["run", "job.toml", "-o", "run.h5", "--overwrite", "--exchange", exchange]
    done = call([bin / "mpiexec", "-n", 1 + workers, *rank, *run], cwd=folder, XDG_CACHE_HOME=str(folder / "cache"))
    assert done.returncode == 0, done.stderr
    held = [int(kilobytes) for kilobytes in re.findall(r"held (\d+) kB", done.stdout)]
    assert len(held) == 1 + workers
    assert max(held) < DATA / 2, held
