"""The bytes of a round on the link of rank 0 against M, counted among many hosts, over the lines of the cost model.

jobs/many-hosts.sh counts them, as the kernel does, with headers, and times the rounds. A file is named after its hosts,
the ranks of each and the links. What it prints are headers in percent of the payload, and seconds beside the model's,
of which only the bandwidth is given and nothing is fitted.

    python analysis/hosts.py results/many-hosts-*.json -o figures
"""

import agg  # noqa: F401

from mpisign.audit.figures.beyond.hosts import main

if __name__ == "__main__":
    raise SystemExit(main(__doc__))
