"""`mpisign bench`: the speed of kernels, loop and rounds, and a model of what a round costs."""
