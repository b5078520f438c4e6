"""The claims of the paper held against trajectory files: bounds, verdicts, figures and the report."""
