"""Measure the speed of kernels, loop and rounds, and model what a round costs: `mpisign bench`."""
