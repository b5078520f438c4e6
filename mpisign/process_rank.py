"""Which of a launcher's processes this is, known from its environment, without MPI."""

import os

RANK_VARIABLES = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")
"""What launchers call a rank's number in its environment."""

_RANKS = (*RANK_VARIABLES, "SLURM_PROCID")  # which a batch script has, too, that is no rank


def first_process() -> bool:
    """Return whether this is the launcher's first process: it speaks where the ranks cannot reach each other."""
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)
