"""Every claim of the paper with its verdict, from a folder of trajectory files: report.html and report.json.

A claim whose file is not there stays, as "not run", with the command that makes it.

    python analysis/report.py results/ -o report/
"""

import agg  # noqa: F401

from mpisign.audit.figures.figure import report, status_of
from mpisign.audit.report.build import make
from mpisign.cli.audit import report_options, script_options

if __name__ == "__main__":
    options = script_options(__doc__, report_options)
    raise SystemExit(
        status_of(lambda: report(*make(options.folder, options.output, options.claim, options.pictures)), None)
    )
