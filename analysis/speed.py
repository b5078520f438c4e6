"""Rounds against dense collectives over d, the cost model beside them, and what it predicts for up to 4096 workers.

The model (`mpisign.tools.bench.cost_model`) knows latency, bandwidth and the curves of computing; latency and bandwidth
are fitted to the messages of the server's and the sharded exchange and to Allreduce of float32. Everything else is
predicted, and its error is printed. On a cluster, as predicted, a rank has a core and a link of its own, as fast
as those measured.

    mpisign bench -o results/bench.json
    python analysis/speed.py results/bench.json -o figures
    python analysis/speed.py results/bench.json -o figures --readme docs/audit/found.md      writes its table there, too
"""

import agg  # noqa: F401

from mpisign.audit.figures.beyond.speed import main

if __name__ == "__main__":
    raise SystemExit(main(__doc__))
