"""A rank that fails ends all of them, whatever they wait for."""

import pytest

from launch import mpirun

pytestmark = pytest.mark.ranks

ORACLE = """
import os, signal
from mpisign.oracles import Full
from mpisign.settings import settings

@settings
class Failing(Full):
    '''Exact, until worker 1 is asked for the fiftieth time.'''
    killed: bool = False

    def source(self, problem, workers):
        exact, asked = super().source(problem, workers), []

        def gradient(x, worker, generator, out):
            asked.append(worker)
            if asked.count(1) == 50:
                if self.killed:
                    os.kill(os.getpid(), signal.SIGKILL)
                raise RuntimeError("the fiftieth time")
            exact(x, worker, generator, out)

        return gradient
"""

JOB = """
iterations = 100000
problem = { kind = "separable", eigenvalues = [1.0, 4.0] }
oracle = { kind = "failing:Failing", killed = KILLED }
[[runs]]
method = "scaled-sign"
step = { kind = "constant", alpha = 1e-3 }
"""


@pytest.mark.parametrize(
    ("exchange", "killed"), [("server", "false"), ("sharded", "true"), ("node", "false"), ("node", "true")]
)
def test_nobody_waits_for_a_rank_that_failed(exchange, killed, tmp_path):
    """Asleep on a semaphore, or in a collective call; a minute would be too long."""
    (tmp_path / "failing.py").write_text(ORACLE)
    (tmp_path / "job.toml").write_text(JOB.replace("KILLED", killed))
    run = ["run", "job.toml", "-o", "run.h5", "--exchange", exchange]
    done = mpirun("mpich", 4, *run, cwd=tmp_path, PYTHONPATH=str(tmp_path), timeout=60)
    assert done.returncode != 0
    if killed == "false":
        assert done.stderr.count("failed: the fiftieth time; ending all ranks") == 1
