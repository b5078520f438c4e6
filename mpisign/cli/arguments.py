"""Add a command to a parser: what it does, said in the list of commands and in its own help, and examples."""

import argparse
from typing import Any


def command(commands: Any, name: str, does: str, examples: str | None = None) -> argparse.ArgumentParser:
    """Add a command to a parser.

    Args:
        commands: What `add_subparsers` returned.
        name: Name of the command.
        does: What it does, a phrase without a period.
        examples: Text below its help.

    Returns:
        The parser of the command.
    """
    raw = argparse.RawDescriptionHelpFormatter
    sentence = f"{does[0].upper()}{does[1:]}."
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=does, description=sentence, epilog=examples, formatter_class=raw
    )
    return parser


def processes(text: str) -> int:
    """Return a number of processes of at least 1; for "auto" the number of cores that this one may use."""
    if text == "auto":
        from mpisign.comm.launcher import cores

        return cores()
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, or auto, got {text!r}")
    return int(text)


def positive(text: str) -> int:
    """Return a whole number of at least 1."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)
