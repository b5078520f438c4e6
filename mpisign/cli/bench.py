"""Add the command `mpisign bench`."""

import argparse
from pathlib import Path
from typing import Any

from mpisign.cli.arguments import command

_EXAMPLES = """examples:
  mpisign bench --quick
  mpisign bench -o results/bench.json
  mpisign bench --only rounds --ranks 2,3,5 --dimensions 2000,1000000
  mpirun -n 5 python -m mpi4py -m mpisign bench --dimensions 1000000    the rounds, on the ranks at hand
"""


def add(commands: Any) -> None:
    """Add `bench` to a parser's commands."""
    does = "the speed of kernels, loop and rounds, as ratios to what else could be done, in some minutes"
    bench = command(commands, "bench", does, _EXAMPLES)
    bench.add_argument("--quick", action="store_true", help="on smaller sizes, in half a minute: a trial, no result")
    bench.add_argument(
        "--only", metavar="SECTION,...", help="kernels, iteration, data, rounds, rivals (default: all), or links"
    )
    bench.add_argument(
        "--ranks", type=_ranks, metavar="N,...", help="the ranks of the rounds (default: 2,3; with --quick 3)"
    )
    bench.add_argument("--dimensions", type=_numbers, metavar="D,...", help="the d of the rounds (default: to 2^24)")
    bench.add_argument("-o", "--output", type=Path, metavar="FILE.json", help="write what was measured, too")
    bench.set_defaults(command=_bench)


def _numbers(text: str) -> tuple[int, ...]:
    """Return positive whole numbers from text with commas between them."""
    numbers = tuple(int(part) if part.isdecimal() and len(part) < 12 else 0 for part in text.split(","))
    if not all(numbers):
        raise argparse.ArgumentTypeError(f"expected positive whole numbers with commas between them, got {text!r}")
    return numbers


def _ranks(text: str) -> tuple[int, ...]:
    """Return numbers of ranks, each at least 2."""
    numbers = _numbers(text)
    if min(numbers) < 2:
        raise argparse.ArgumentTypeError(f"expected 2 ranks or more: rank 0 hosts no worker; got {text!r}")
    return numbers


def _bench(options: argparse.Namespace) -> None:
    """Measure, print each result as it comes, and write the file where one is asked for."""
    from mpisign.comm.startup import connect
    from mpisign.storage.output_file import check_output
    from mpisign.storage.provenance import provenance, sites
    from mpisign.tools.bench import results_file, suite
    from mpisign.tools.bench.timing import QUICK, Effort

    given = {key: getattr(options, key) for key in ("ranks", "dimensions") if getattr(options, key)}
    effort = (QUICK if options.quick else Effort())._replace(**given)
    with connect() as ranks:
        if options.output is not None:
            ranks.raise_collectively(lambda: check_output(options.output, overwrite=True) if ranks.root else None)
        results, measuring = [], suite.measure(effort, options.only, ranks)
        print(suite.HEAD, flush=True)
        for result in measuring:
            results.append(result)
            if suite.line(result):
                print(suite.line(result), flush=True)
        machine = provenance(ranks, sites(ranks))
        if options.output is not None and ranks.root:
            results_file.write(options.output, results, machine)
            print(f"wrote {options.output}")
