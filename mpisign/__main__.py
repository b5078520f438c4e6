"""`python -m mpisign`, and under MPI `mpirun -n M+1 python -m mpi4py -m mpisign`."""

from mpisign.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
