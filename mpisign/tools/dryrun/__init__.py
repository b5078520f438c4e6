"""Forecast what a job will need, before it runs, writing nothing and running nothing to its end.

It is `mpisign run --dry-run`.
"""
