"""Data files: their schema, and the commands that make them from LIBSVM text or from a seed."""
