"""Data sets made from a seed, in the likeness of public ones."""
