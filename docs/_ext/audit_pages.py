"""Write the pages of the audit from report.json, as `mpisign report --pictures` has written it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mpisign.audit.claims.claim import MEANINGS
from mpisign.audit.report.page import maths

Claim = dict[str, Any]

_MORE = {
    "theorem-2-1": "{doc}`../theorems`, {doc}`../counterexamples`",
    "theorem-2-2": "{doc}`../theorems`, {doc}`../counterexamples`",
    "theorem-3": "{doc}`../theorems`, {doc}`../counterexamples`",
    "beyond-covariance": "{doc}`../theorems`, C4",
}
"""Where the mathematics of a claim is; of all others it is on the page of corrections."""

_INTRO = """# Every claim and its verdict

This is a full run of `jobs/reproduce.sh`: each statement of the paper with its equation's number, the verdict on it as
printed, what the verdict rests on, and the verdict on what holds instead. The pages below have the evidence of each,
its numbers and its picture. They are written from `docs/audit/report.json`, which
`mpisign report results -o report --pictures` makes.
"""


def pages(folder: Path) -> dict[str, str]:
    """Return the text of each page by its name, without .md.

    Args:
        folder: Holds report.json.
    """
    claims = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    parts = dict.fromkeys(claim["part"] for claim in claims)
    by_part = {part: [claim for claim in claims if claim["part"] == part] for part in parts}
    index = "\n".join([_INTRO, *_legend(claims), *_tables(by_part), _contents(by_part)])
    return {"index": index} | {f"claims/{slug(part)}": "\n".join(_part(part, some)) for part, some in by_part.items()}


def slug(heading: str) -> str:
    """Return a part's file name."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def html(text: str) -> str:
    """Return a text of the report in HTML, with its indices and exponents, on one line for Markdown."""
    return str(maths(text)).replace("\n", " ").replace("*", "&#42;").replace("|", "&#124;").replace("`", "&#96;")


def badge(verdict: str) -> str:
    """Return a verdict as a coloured word."""
    return f'<span class="verdict {verdict.replace(" ", "-")}">{verdict}</span>'


def _legend(claims: list[Claim]) -> list[str]:
    """Return what the verdicts mean, those that were given."""
    given = {claim["verdict"] for claim in claims} | {claim["corrected_verdict"] for claim in claims}
    return [f"- {badge(verdict)} {meaning}" for verdict, meaning in MEANINGS.items() if verdict in given] + [""]


def _tables(by_part: dict[str, list[Claim]]) -> Iterator[str]:
    """Yield a table for each part."""
    for part, some in by_part.items():
        yield f"## {part}\n\n| claim | as printed | rests on | corrected |\n|---|---|---|---|"
        for claim in some:
            link = f"[{claim['title']}](claims/{slug(part)}.md#{claim['id']})"
            right = badge(claim["corrected_verdict"]) if claim["corrected_verdict"] else ""
            equation = f" {claim['equation']}" if claim["equation"] else ""
            yield f"| {link}{equation} | {badge(claim['verdict'])} | {html(claim['rests_on'])} | {right} |"
        yield ""


def _contents(by_part: dict[str, list[Claim]]) -> str:
    """Return the contents, which the site's menu shows."""
    return "\n".join(["```{toctree}", ":hidden:", "", *(f"claims/{slug(part)}" for part in by_part), "```", ""])


def _part(part: str, some: list[Claim]) -> Iterator[str]:
    """Yield the page of a part."""
    yield f"# {part}\n"
    for claim in some:
        yield from _claim(claim)


def _claim(claim: Claim) -> Iterator[str]:
    """Yield the section of a claim."""
    equation = f" {claim['equation']}" if claim["equation"] else ""
    yield f"({claim['id']})=\n## {claim['title']}{equation}\n"
    yield from _statement("As printed" if claim["printed"] else "Found", claim["verdict"], claim["rests_on"])
    yield f"{html(claim['statement'])}\n"
    if claim["argument"]:
        yield f"*By hand.* {html(claim['argument'])}\n"
    if claim["corrected"]:
        yield from _statement("Corrected", claim["corrected_verdict"], claim["corrected_rests_on"])
        yield f"{html(claim['corrected'])}\n"
    yield f"*Tested on.* {html(claim['tested_on'])}. More: {_MORE.get(claim['id'], '{doc}`../corrections`')}.\n"
    yield from (f"- {html(line)}" for line in claim["evidence"])
    yield ""
    yield from _numbers(claim["table"])
    for picture in claim["pictures"]:
        yield _picture(picture)


def _statement(name: str, verdict: str, rests_on: str) -> Iterator[str]:
    """Yield a line with a verdict and what it rests on."""
    yield f"**{name}** {badge(verdict)}{f' {html(rests_on)}' if rests_on else ''}<br>"


def _numbers(table: dict[str, Any] | None) -> Iterator[str]:
    """Yield a table of numbers, which scrolls sideways on a narrow screen."""
    if table:
        yield f"| {' | '.join(map(html, table['head']))} |\n|{'---|' * len(table['head'])}"
        yield from (f"| {' | '.join(map(html, row))} |" for row in table["rows"])
        yield ""


def _picture(picture: dict[str, str]) -> str:
    """Return a picture with its caption."""
    alt = picture["alt"].replace('"', "'")
    return f"```{{figure}} ../pictures/{picture['file']}\n:alt: {alt}\n\n{html(picture['caption'])}\n```\n"
