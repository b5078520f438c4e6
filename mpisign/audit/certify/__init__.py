"""Certify a job: E V_k of its runs and the bounds of the theorems as fractions, from the job file's own digits."""
