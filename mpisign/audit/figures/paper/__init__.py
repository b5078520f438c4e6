"""The paper's figures and examples, drawn from trajectory files."""
