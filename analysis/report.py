"""Every claim of the paper with its verdict, from a folder of trajectory files: report.html and report.json.

A claim whose file is not there stays, as "not run", with the command that makes it.

    python analysis/report.py results/ -o report/
"""

import agg  # noqa: F401

from mpisign.audit.report.build import main

if __name__ == "__main__":
    raise SystemExit(main(__doc__))
