"""Hold the claims of the paper against trajectory files: bounds, verdicts, figures and the report."""
