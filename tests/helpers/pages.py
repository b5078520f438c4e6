"""Read the code blocks of the Markdown pages, with the note that stands before each."""

import re
from pathlib import Path
from typing import NamedTuple

from launch import ROOT

GENERATED = re.compile("docs/(reference/(commands|job|files)|audit/(index|claims/.*))\\.md")
"""Pages that are written when the site is built: they show output, and no commands of their own."""

PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in [
        *ROOT.glob("*.md"),
        *(ROOT / name / "README.md" for name in ("jobs", "analysis", "packaging")),
        *(ROOT / "docs").rglob("*.md"),
    ]
    if not GENERATED.fullmatch(str(path.relative_to(ROOT)))
)
"""Every page that somebody wrote."""

_BLOCK = re.compile(r"(?:^<!-- (?P<note>[^\n]+) -->\n)?^```(?P<kind>[^\n`]*)\n(?P<text>.*?)^```$", re.M | re.S)
NOTES = ("file", "not run", "run by", "fails")


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        kind: What follows its fence: sh, python, toml, text, {code-cell}, ...
        text: Its lines.
        note: "file: NAME", "not run: REASON", "run by: FILE", "fails: STATUS", or "".
    """

    kind: str
    text: str
    note: str

    def noted(self, what: str) -> str | None:
        """Return what the note says of it, or None."""
        head, _, rest = self.note.partition(": ")
        return rest if head == what else None


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page, in its order."""
    return [Block(m["kind"].strip(), m["text"], m["note"] or "") for m in _BLOCK.finditer((ROOT / page).read_text())]


def script(page: str) -> str:
    """Return a shell script that does what a reader of the page does: writes its files, runs its commands."""
    lines = []
    for number, block in enumerate(blocks(page)):
        name = block.noted("file")
        if name is None and block.kind == "python" and not block.note:
            name = f"block{number}.py"
        if name is not None:
            lines += [f"cat > {name} <<'END OF BLOCK'", block.text.rstrip("\n"), "END OF BLOCK"]
        if block.kind == "python" and not block.note:
            lines.append(f"python {name}")
        if block.kind == "sh" and block.noted("not run") is None and block.noted("run by") is None:
            lines += _expected(block)
    return "\n".join(lines)


def _expected(block: Block) -> list[str]:
    """Return the commands of a block; one that is said to fail has to."""
    commands = block.text.replace("\\\n", " ").strip().split("\n")
    return [f"! {command}" for command in commands] if block.noted("fails") is not None else commands


def unread(page: str) -> str:
    """Return the page without its fenced blocks."""
    return _BLOCK.sub("", (ROOT / page).read_text())


def folder(page: str) -> Path:
    """Return the folder that the page's links start from."""
    return (ROOT / page).parent
