"""A job that goes on when ranks are lost: with those that are left, from the last checkpoint."""

import sys
from pathlib import Path

from mpisign import runner
from mpisign.planning import Plan
from mpisign.ranks import Ranks
from mpisign.settings import BadInput
from mpisign.shrinking import without_lost


def refuse_where_impossible(ranks: Ranks, exchange: str) -> None:
    """Raises BadInput, with the reason, where a rank that is lost cannot be survived."""
    reason = ranks.cannot_survive()
    if not reason and exchange not in ("server", "sharded"):
        reason = f"it goes with the exchanges server and sharded, which share no memory; the job has {exchange}"
    if reason:
        raise BadInput("--on-failure", f"cannot continue: {reason}")


def run(planned: Plan, ranks: Ranks, output: Path, repeats: range, resume: bool) -> None:
    """`mpisign.runner.run`, again and again until no rank is lost; every rank calls it.

    The first of those that are left becomes the server, and writes the file.
    """
    while True:
        try:
            return runner.run(planned, ranks, output, repeats, resume, watched=False)
        except Exception as error:
            if not ranks.lost(error):
                raise
            size = ranks.size
            ranks, were = ranks.survivors()
            if ranks.size == size:
                raise
            planned = without_lost(planned, size, were)
            if ranks.root:
                lost = ", ".join(str(rank) for rank in range(size) if rank not in were)
                print(f"mpisign: rank {lost} of {size} is lost; {ranks.size} go on", file=sys.stderr, flush=True)
            resume = ranks.decided(output.exists())
