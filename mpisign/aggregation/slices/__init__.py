"""Slices of rows, each combined by another rank, and what is exchanged between machines in them."""
