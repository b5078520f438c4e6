"""Where a result comes from is found once, whoever waits for it. Run under mpiexec by test_under_mpiexec.py."""

import pytest

from mpisign.comm.startup import connect
from mpisign.config import experiment
from mpisign.engine import planning, runner
from mpisign.problems import Toy
from mpisign.storage import provenance

pytestmark = pytest.mark.mpi

JOB = """
iterations = 2
problem = { kind = "toy" }
[[runs]]
method = "gd"
step = { kind = "constant", alpha = 0.1 }
"""


def test_the_root_alone_hashes_the_data_and_asks_git(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(Toy, "data_sha256", lambda self: asked.append("data") or "")
    monkeypatch.setattr(provenance, "_git", lambda: asked.append("git") or "a commit")
    with connect() as ranks:
        plan = planning.plan(experiment.parse(JOB, []), ranks)
        asked.clear()
        runner.run(plan, ranks, folder / "out.h5", range(1), watched=False)
        assert set(asked) == ({"data", "git"} if ranks.root else set())
