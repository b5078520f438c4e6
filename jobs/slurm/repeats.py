"""How many repeats a job has: repeats.py JOB.toml [options of mpisign run]."""

import argparse
import sys
from pathlib import Path

from mpisign.config import experiment
from mpisign.config.validation import InputError

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("job", type=Path)
parser.add_argument("--set", action="append", default=[])
options, _ = parser.parse_known_args()
try:
    print(experiment.read(options.job, options.set).repeats)
except InputError as error:
    sys.exit(f"mpisign: {error}")
