"""Pages that are made when the site is built.

Commands, the job file and the files are made from the program itself, the audit from the report that is kept.
"""

import argparse
import contextlib
import io
from pathlib import Path
from typing import Any

import audit_pages
import files_page
import job_page
from sphinx.application import Sphinx

from mpisign.cli import main as command_line


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


PAGES = {"commands": commands_page, "job": job_page.page, "files": files_page.page}
"""What makes each page of the reference, by its name."""


def _write(app: Sphinx) -> None:
    source = Path(app.srcdir)
    made = {f"reference/{name}.md": page() for name, page in PAGES.items()} | audit_pages.pages()
    pages = {source / name: text for name, text in made.items()}
    for path, text in pages.items():
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for left_over in {*(source / "audit" / "claims").iterdir()} - set(pages):
        left_over.unlink()  # of a part that has another name now


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages before Sphinx looks for its sources."""
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
