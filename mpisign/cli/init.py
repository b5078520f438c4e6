"""Add the command `mpisign init`, which writes an example job into this folder."""

import argparse
import itertools
import re
import textwrap
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from mpisign.cli.arguments import command
from mpisign.config.validation import InputError, closest, shown

_EXAMPLES = """examples:
  mpisign init
  mpisign init ce-a
  mpisign init --list
"""


_CERTIFIED = {"x1": "", "x2": "", "x3": " --upto 6", "x4": "", "x5": " --upto 3"}
"""The examples that are refutations in fractions, and what ends their certificate within 15 seconds."""


def add(commands: Any) -> None:
    """Add the command to a parser's commands."""
    init = command(commands, "init", "write an example job into this folder, and say how it is run", _EXAMPLES)
    init.add_argument("name", nargs="?", default="quickstart", metavar="NAME", help="which one (default: quickstart)")
    init.add_argument("--list", action="store_true", help="list the examples, each with what it shows")
    init.set_defaults(command=_init)


def jobs() -> dict[str, Traversable]:
    """Return the job files that are shipped, by their names."""
    found = (file for file in files("mpisign").joinpath("examples").iterdir() if file.name.endswith(".toml"))
    return {file.name.removesuffix(".toml"): file for file in sorted(found, key=lambda file: file.name)}


def _init(options: argparse.Namespace) -> None:
    """Write an example job, or list the examples.

    Raises:
        InputError: If there is no such example, or the file exists.
    """
    known = jobs()
    if options.list:
        width = max(map(len, known))
        print("\n".join(f"{name:{width}}  {_shown_by(file)}" for name, file in known.items()))
        return
    if options.name not in known:
        raise InputError("init", f"no example called {shown(options.name)}; {closest(options.name, list(known))}")
    job = Path(f"{options.name}.toml")
    if job.exists():
        raise InputError(str(job), "it exists already; expected a folder without it")
    job.write_text(known[options.name].read_text())
    print(f"wrote {job}: {_shown_by(known[options.name])}")
    for line in _next(options.name):
        print(f"  {line}")


def _next(name: str) -> list[str]:
    """Return what can be done with an example, as commands."""
    certify = [f"mpisign certify {name}.toml{_CERTIFIED[name]}"] if name in _CERTIFIED else []
    return [*certify, f"mpisign run {name}.toml -o {name}.h5", f"mpisign plot {name}.h5"]


def _shown_by(file: Traversable) -> str:
    """Return the first sentence of the comment that a job begins with, or what of it fits a line."""
    comment = itertools.takewhile(lambda line: line.startswith("#"), file.read_text().splitlines())
    text = " ".join(line.removeprefix("#").strip() for line in comment)
    return textwrap.shorten(re.split(r"(?<=[a-z0-9)\]])\. ", text)[0].rstrip("."), 96, placeholder=" ...")
