"""How a command is added to a parser: what it does, said in the list of commands and in its own help, and examples."""

import argparse
from typing import Any


def command(commands: Any, name: str, does: str, examples: str | None = None) -> argparse.ArgumentParser:
    """The parser of the command `name`; commands: what `add_subparsers` returned."""
    raw = argparse.RawDescriptionHelpFormatter
    sentence = f"{does[0].upper()}{does[1:]}."
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=does, description=sentence, epilog=examples, formatter_class=raw
    )
    return parser
