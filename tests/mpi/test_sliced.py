"""Signs packed as gradients are made, on ranks, by every exchange. Run under mpiexec by test_under_mpiexec.py."""

import pytest

from digests import digests
from mpisign.aggregation import node_exchange
from mpisign.aggregation.exchange import hosted_by
from mpisign.aggregation.exchange_registry import EXCHANGES
from mpisign.algorithms import sliced
from mpisign.comm.startup import connect
from mpisign.config import experiment
from mpisign.engine import planning, runner

pytestmark = pytest.mark.mpi

JOB = """
iterations = 6
problem = { kind = "logistic", data = "digits", scaling = "raw" }
oracle = { kind = "minibatch", batch = 2 }
start = { kind = "zeros" }
log = { every = 2, iterates = true }
exchange = "EXCHANGE"
[[runs]]
method = "scaled-sign"
workers = 5
step = { kind = "constant", alpha = 1e-3 }
[[runs]]
label = "coin"
method = "sign"
zeros = "coin"
precision = "float32"
workers = 3
step = { kind = "constant", alpha = 1e-3 }
"""


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_trajectories_are_those_of_whole_gradients(exchange, folder, monkeypatch):
    """Zeros travel; by the node exchange x is one for all ranks, as it is at a d of the real size."""
    monkeypatch.setattr(node_exchange, "SHARED_X_FROM", 1)
    made = []
    put = sliced.put_slices
    monkeypatch.setattr(sliced, "put_slices", lambda *given: made.append(put(*given)))
    found = []
    with connect() as ranks:
        plan = planning.plan(experiment.parse(JOB.replace("EXCHANGE", exchange), []), ranks)
        for first in (10**9, 1):
            monkeypatch.setattr(sliced, "FROM", first)
            runner.run(plan, ranks, folder / f"{first}.h5", range(1), watched=False)
            if ranks.root:
                found.append(digests(folder / f"{first}.h5"))
        hosted = [len(hosted_by(ranks.rank, ranks.size, run.workers)) for run in plan.runs]
        assert len(made) == 6 * sum(hosted)  # of 5 workers, the last of five ranks hosts none
    if found:
        assert found[0] == found[1]
