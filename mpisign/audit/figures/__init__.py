"""Figures of trajectory files, in one style."""
