"""What becomes of the iterates that are recorded."""
