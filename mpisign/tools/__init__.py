"""Provide what a user runs around experiments: benchmarks, a doctor and dry runs."""
