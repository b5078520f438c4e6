"""Add the commands of `mpisign data`: convert, synth, fetch, info."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpisign.cli.arguments import command
from mpisign.config.validation import InputError
from mpisign.data.remote import published
from mpisign.storage.output_file import output_path

if TYPE_CHECKING:
    from mpisign.comm.communicator import Communicator

_EXAMPLES = """examples:
  mpisign data synth --like epsilon epsilon.h5 --n 2000 --d 50
  mpisign data synth --like rcv1 rcv1.h5 --n 2000 --d 5000 --seed 2
  mpisign data info epsilon.h5 --verify
  mpisign data convert epsilon_normalized.bz2 epsilon.h5 --dtype float32
  mpisign data fetch --list
  mpisign data fetch rcv1
  mpisign data fetch https://example.org/my.svm.xz -o my.h5
  mpirun -n 4 python -m mpi4py -m mpisign data convert rcv1_train.binary.bz2 rcv1.h5
"""


def add(commands: Any) -> None:
    """Add `data` and its own commands to a parser's commands."""
    data = command(commands, "data", "make data files, and look at them", _EXAMPLES)
    subcommands = data.add_subparsers(title="commands", metavar="COMMAND")
    data.set_defaults(command=lambda options: data.print_help())
    _add_convert(command(subcommands, "convert", "LIBSVM text, plain or .bz2, .xz, .gz, to a data file", _EXAMPLES))
    _add_synth(command(subcommands, "synth", "a data file with the shape of a published one, from a seed", _EXAMPLES))
    _add_fetch(command(subcommands, "fetch", "a published data set from the network, to a data file", _EXAMPLES))
    info = command(subcommands, "info", "what a data file holds", _EXAMPLES)
    info.add_argument("file", type=Path, metavar="FILE.h5", help="a data file")
    info.add_argument("--verify", action="store_true", help="hash the content again and compare")
    info.set_defaults(command=_info)


def _add_convert(convert: argparse.ArgumentParser) -> None:
    """Add the options of `convert`."""
    convert.add_argument("source", type=Path, metavar="SRC", help="the text")
    _add_output(convert, "float64")
    _add_form(convert)
    convert.set_defaults(command=_convert)


def _add_fetch(fetch: argparse.ArgumentParser) -> None:
    """Add the options of `fetch`."""
    names = ", ".join(published.PUBLISHED)
    source = f"{names}; or the address of LIBSVM text, http or https, plain or compressed"
    fetch.add_argument("source", nargs="?", metavar="NAME|URL", help=source)
    fetch.add_argument(
        "-o", dest="output", type=output_path, metavar="FILE.h5", help="the data file to write (default: NAME.h5)"
    )
    fetch.add_argument("--list", action="store_true", help="list the names, each with its n, d and entries")
    _add_writing(fetch, "float64")
    _add_form(fetch)
    fetch.set_defaults(command=_fetch)


def _add_form(convert: argparse.ArgumentParser) -> None:
    """Add the options that say what LIBSVM text becomes."""
    form = convert.add_mutually_exclusive_group()
    form.add_argument("--dense", dest="sparse", action="store_false", default=None, help="an array, zeros and all")
    form.add_argument("--sparse", dest="sparse", action="store_true", help="CSR (default: up to a density of 0.25)")
    convert.add_argument(
        "--dimension", type=_count, metavar="D", help="the number of features (default: the highest index)"
    )


def _add_synth(synth: argparse.ArgumentParser) -> None:
    """Add the options of `synth`."""
    synth.add_argument("--like", required=True, choices=["epsilon", "rcv1"], help="whose shape it has")
    _add_output(synth, "float32")
    synth.add_argument("--n", type=_count, help="rows (default: 400000 for epsilon, 20242 for rcv1)")
    synth.add_argument("--d", type=_count, help="features (default: 2000 for epsilon, 47236 for rcv1)")
    synth.add_argument("--seed", type=_seed, default=1, help="of the random numbers (default: 1)")
    synth.set_defaults(command=_synth)


def _add_output(parser: argparse.ArgumentParser, dtype: str) -> None:
    """Add the options of a command that writes a data file."""
    parser.add_argument("output", type=output_path, metavar="DST.h5", help="the data file to write")
    _add_writing(parser, dtype)


def _add_writing(parser: argparse.ArgumentParser, dtype: str) -> None:
    """Add the options that say how a data file is written."""
    form = f"of the features (default: {dtype})"
    parser.add_argument("--dtype", choices=["float32", "float64"], default=dtype, help=form)
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")


def _count(text: str) -> int:
    """Return an integer from 1 to 2^31 - 1."""
    if not (text.isdecimal() and len(text) < 20 and 0 < int(text) < 2**31):
        raise argparse.ArgumentTypeError(f"expected an integer from 1 to {2**31 - 1}, got {text!r}")
    return int(text)


def _seed(text: str) -> int:
    """Return an integer from 0 to 2^63 - 1."""
    if not (text.isdecimal() and len(text) < 20 and int(text) < 2**63):
        raise argparse.ArgumentTypeError(f"expected an integer from 0 to 2^63 - 1, got {text!r}")
    return int(text)


def _convert(options: argparse.Namespace) -> None:
    """Convert LIBSVM text to a data file."""
    from mpisign.data.convert import Wanted, convert

    wanted = Wanted(options.dtype, options.sparse, options.dimension, options.overwrite)
    _make(options.output, lambda ranks: convert(options.source, options.output, wanted, ranks))


def _fetch(options: argparse.Namespace) -> None:
    """Fetch a published data set, or list their names.

    Raises:
        InputError: there is neither a name nor an address, or what `fetch` raises.
    """
    if options.list:
        print(published.table())
        return
    if options.source is None:
        raise InputError("fetch", "expected the name of a data set or an address; --list has the names")
    from mpisign.data.convert import Wanted
    from mpisign.data.remote.fetch import fetch, output_of, source

    wanted = source(options.source)
    output = options.output or output_path(str(output_of(wanted)))
    form = Wanted(options.dtype, options.sparse, options.dimension, options.overwrite)
    _make(output, lambda ranks: fetch(wanted, output, form, ranks))


def _synth(options: argparse.Namespace) -> None:
    """Make a data file with the shape of a published one."""
    from mpisign.data.synthetic.generate import KINDS, Recipe, synthesise

    kind = KINDS[options.like]
    recipe = Recipe(options.like, options.n or kind.n, options.d or kind.d, options.seed, options.dtype)
    _make(options.output, lambda ranks: synthesise(recipe, options.output, options.overwrite, ranks))


def _make(output: Path, make: "Callable[[Communicator], None]") -> None:
    """Make a data file on the ranks at hand, and say so on the root."""
    from mpisign.comm.startup import connect
    from mpisign.data import info

    with connect() as ranks:
        make(ranks)
        if ranks.root:
            print(f"wrote {info.line(output)}")


def _info(options: argparse.Namespace) -> None:
    """Print what a data file holds, and verify its hash where asked."""
    from mpisign.data import info
    from mpisign.data.file import DataFile

    try:
        file = DataFile(options.file)
        print(info.text(file), flush=True)
        if options.verify:
            file.verify()
            print("verified: the content is what was written")
    except InputError as error:
        raise InputError("", error.complaint) from None
