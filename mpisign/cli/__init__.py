"""Parse the command `mpisign` and run what it names."""
