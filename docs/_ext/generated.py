"""Pages that are made from the program itself, so that they say what it does: commands, kinds and their settings."""

import argparse
import contextlib
import io
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from mpisign.cli import main as command_line
from mpisign.cli.list_kinds import text as kinds
from mpisign.storage.trajectory import COLUMNS


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of all commands by what is typed, those of `data` too."""
    found = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                found[each.prog] = each
                found |= _commands(each)
    return found


def _help(parser: argparse.ArgumentParser) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        parser.print_help()
    return printed.getvalue()


def commands_page() -> str:
    """Return the help of every command."""
    parts = ["# Commands\n", "What `--help` prints, command by command.\n"]
    for name, parser in _commands(command_line._parser()).items():
        parts += [f"## {name}\n", "```text", _help(parser).rstrip(), "```\n"]
    return "\n".join(parts)


def kinds_page() -> str:
    """Return the methods, problems, oracles, step sizes and starts with their settings."""
    intro = "What a job file may name, with each setting's values and default: the output of `mpisign list`.\n"
    return "\n".join(["# Kinds and their settings\n", intro, "```text", kinds(), "```\n"])


def columns_page() -> str:
    """Return the columns of a trajectory file."""
    rows = [f"| `{name}` | {dtype.__name__} | {unit} | {what} |" for name, (dtype, unit, what) in COLUMNS.items()]
    head = ["# Columns of a trajectory\n", "Datasets of a repeat, one value a record.\n", "| name | dtype | unit | |"]
    return "\n".join([*head, "|---|---|---|---|", *rows, ""])


def _write(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "reference"
    for name, page in (("commands", commands_page), ("kinds", kinds_page), ("columns", columns_page)):
        text, path = page(), folder / f"{name}.md"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages before Sphinx looks for its sources."""
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
