"""`mpisign run --dry-run`: what a job will need, before it runs. Nothing is run to its end, and nothing written."""
