"""Communicators, one process or MPI; shared memory, launchers, signals and the watchdog."""
