"""Read docstrings: what they say of each setting, and their prose as Markdown."""

import inspect
import re
from typing import Any

_SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):$")
_ENTRY = re.compile(r"(    )?(\w+): (.+)")
_SPECIAL = re.compile(r"([\\*_\[\]<>$|{}~#])")
_CODE = re.compile(r'(`[^`]*`|"[^"\s]*")')
_LISTED = r"\d+(?:\(\w\))?(?:(?:, | and )\d+(?:\(\w\))?)*"
_PAPER = re.compile(
    rf"(?<!\w)\(\d{{1,2}}\)|(?:Theorems?|Remarks?|Examples?|Figures?|Algorithms?|Propositions?|Assumptions?) {_LISTED}"
)


def described(maker: Any, name: str) -> str:
    """Return what the docstring of a class, of one of its bases, or of a function says of an attribute or argument.

    Raises:
        LookupError: None of them says anything.
    """
    for each in inspect.getmro(maker) if inspect.isclass(maker) else [maker]:
        if found := entries(inspect.cleandoc(each.__doc__ or "")).get(name):
            return found
    raise LookupError(f"{maker.__module__}.{maker.__qualname__}: expected its docstring to describe {name}")


def entries(doc: str) -> dict[str, str]:
    """Return a docstring's descriptions by name: those of its sections, and paragraphs such as ``c: a number``."""
    found: dict[str, str] = {}
    name = None
    for line in doc.splitlines():
        entry = _ENTRY.match(line)
        if not line.strip():
            name = None
        elif entry:
            name = entry[2]
            found.setdefault(name, entry[3])
        elif name is not None:
            found[name] += f" {line.strip()}"
    return found


def prose(maker: Any, settings: set[str]) -> list[str]:
    """Return the paragraphs of a docstring before its sections, without those that describe a setting."""
    paragraphs = inspect.cleandoc(maker.__doc__ or "").split("\n\n")
    sections = [bool(_SECTION.match(each.partition("\n")[0])) for each in paragraphs]
    kept = paragraphs[: sections.index(True)] if any(sections) else paragraphs
    lines = [" ".join(each.split()) for each in kept]
    return [each for each in lines if each.partition(":")[0] not in settings]


def in_the_paper(text: str) -> list[str]:
    """Return the equations, theorems, examples and so on that a text names, each once."""
    return list(dict.fromkeys(_PAPER.findall(text)))


def markdown(text: str) -> str:
    """Return plain text as Markdown: words in quotes or backticks become code, and nothing else is markup."""
    parts = _CODE.split(text)
    return "".join(_code(part) if i % 2 else _SPECIAL.sub(r"\\\1", part) for i, part in enumerate(parts))


def _code(part: str) -> str:
    return part if part.startswith("`") else f"`{part}`"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Return the lines of a table; the cells are Markdown, in which a pipe within code is escaped here."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*lines, *(f"| {' | '.join(map(_cell, row))} |" for row in rows), ""]


def _cell(text: str) -> str:
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part.replace("|", r"\|") if i % 2 else part for i, part in enumerate(parts))
