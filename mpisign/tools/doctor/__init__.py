"""Check whether this machine is set up for ranks, and this folder for results, by doing it: `mpisign doctor`."""
