"""At which bandwidth one bit a coordinate wins, measured over slow links, beside what bits alone predict.

jobs/slow-network.sh runs jobs/slow-network.toml over these links. A file is named after its links,
slow-network-100mbit.h5 as tc writes a rate, slow-network-unshaped.h5, and the one process slow-network-alone.h5, from
whose seconds analysis/bandwidth.py predicts. An iteration takes what rank 0's clock says of the least disturbed repeat;
targets, steps and intervals are those of analysis/bits.py. The crossover is where the ratio of the times to the target,
a power of the bandwidth between two rates that were measured, is one.

What `mpisign bench` found over the same links is read from slow-network-100mbit.json where that is beside the file: a
whole round of signs by each exchange, and a dense Allreduce of float32.

    python analysis/network.py results/slow-network-*.h5 -o figures
"""

import agg  # noqa: F401

from mpisign.audit.figures.beyond.network import draw, findings
from mpisign.audit.figures.figure import command_of_files, nothing

if __name__ == "__main__":
    raise SystemExit(command_of_files(nothing, draw, "network", __doc__, together=findings))
