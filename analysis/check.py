"""Every bound that speaks of a trajectory file's runs, printed and corrected, held against what was measured.

A run's mean gap over the repeats, with limits at 95 % for all checkpoints together, beside each bound: confirmed,
violated, vacuous (a premise fails: which, and from which k), or inconclusive. Constants come from the file, where
mpisign run stores those that can be had exactly or as certified limits, or from options.

    python analysis/check.py results/ce-a.h5
    python analysis/check.py results/ce-a.h5 --p-min 0.6 --json ce-a.json -o figures
"""

import agg  # noqa: F401

from mpisign.audit.bounds.command import hold_against
from mpisign.audit.figures.figure import status_of
from mpisign.cli.audit import check_options, script_options

if __name__ == "__main__":
    options = script_options(__doc__, check_options)
    raise SystemExit(status_of(lambda: hold_against(options), options.output))
