"""`python -m mpisign`, and under MPI `mpirun -n M+1 python -m mpi4py -m mpisign`."""

import sys

from mpisign.stop_signals import PLANNING


def main() -> int:
    """Run the command line; where it runs a job, signals are heard before the slow imports."""
    if sys.argv[1:2] in (["run"], ["rerun"]):
        PLANNING.begin()
    from mpisign.cli import main  # slow

    return main.main()


if __name__ == "__main__":
    raise SystemExit(main())
