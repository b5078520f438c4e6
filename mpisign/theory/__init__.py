"""The constants, bounds and verdicts of the theory: pure, no input or output."""
