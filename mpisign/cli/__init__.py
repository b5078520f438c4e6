"""The command `mpisign`."""
