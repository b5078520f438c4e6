"""Read from the environment which of a launcher's processes this is, before anything slow is imported."""

import os

RANK_VARIABLES = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")
"""What launchers call a rank's number in its environment."""

_RANKS = (*RANK_VARIABLES, "SLURM_PROCID")  # which a batch script has, too, that is no rank


def rank() -> int:
    """Return this process's number, as its launcher says it; 0 where there is none."""
    numbers = (os.environ.get(name, "") for name in _RANKS)
    return max(int(number) if number.isdecimal() else 0 for number in numbers)


def launched() -> bool:
    """Return whether a launcher started this process as a rank."""
    return any(name in os.environ for name in RANK_VARIABLES)


def first_process() -> bool:
    """Return whether this is the launcher's first process: it speaks where the ranks cannot reach each other."""
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)
