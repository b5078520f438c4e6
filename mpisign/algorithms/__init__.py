"""The methods of the paper, with their oracles, step sizes and initial points."""
