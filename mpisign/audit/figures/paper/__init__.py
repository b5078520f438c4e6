"""Draw the paper's figures and examples from trajectory files."""
