"""Write the pages of the audit from docs/audit/report.json: the table of all claims, and a page for each part."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audit_text import CLAIMS, HEAD, TAIL
from docstrings import table

from mpisign.audit.claims.claim import MEANINGS, Verdict
from mpisign.audit.report.page import maths

FOLDER = Path(__file__).parent.parent / "audit"
JOBS = FOLDER.parent.parent / "jobs"
_MARKS = {
    "proved": "✓",
    "confirmed": "✓",
    "refuted": "✗",
    "violated": "✗",
    "vacuous": "∅",
    "inconclusive": "?",
    "not run": "–",
}
"""As in report.html."""
_SPECIAL = re.compile(r"([\\`*_\[\]$|{}~])")


def pages() -> dict[str, str]:
    """Return the text of each page, by its path below docs/."""
    parts = report()
    some = {f"audit/claims/{stem(part)}.md": claims_page(part, entries) for part, entries in parts.items()}
    return {"audit/index.md": index(parts), **some}


def report() -> dict[str, list[dict[str, Any]]]:
    """Return the claims of the report that is kept, by the heading of their part."""
    parts: dict[str, list[dict[str, Any]]] = {}
    for entry in json.loads((FOLDER / "report.json").read_text(encoding="utf-8")):
        parts.setdefault(entry["part"], []).append(entry)
    return parts


def stem(part: str) -> str:
    """Return the name of a part's page, such as "section-ii"."""
    return part.partition(":")[0].lower().replace(" ", "-")


def typeset(text: str) -> str:
    """Return text of a claim as Markdown, in which indices and exponents are HTML and nothing else is markup."""
    return _SPECIAL.sub(r"\\\1", str(maths(text)))


def badge(verdict: str | None) -> str:
    """Return a verdict as a word with its colour; "" where there is none."""
    if verdict is None:
        return ""
    mark = f'<span aria-hidden="true">{_MARKS[verdict]}</span>'
    return f'<span class="verdict {verdict.replace(" ", "-")}">{mark} {verdict}</span>'


def index(parts: dict[str, list[dict[str, Any]]]) -> str:
    """Return the page of all claims."""
    every = [entry for entries in parts.values() for entry in entries]
    lines = [HEAD, *_tally(every), "## Every claim\n"]
    for part, entries in parts.items():
        found = "as printed" if entries[0]["printed"] else "found"
        rows = table(("claim", "equation", found, "it rests on", "corrected"), [*map(_row, entries)])
        lines += [f"### {part}\n", ":::{container} every-claim", *rows, ":::\n"]
    toctree = ["```{toctree}", ":hidden:\n", *(f"claims/{stem(part)}" for part in parts), "```\n"]
    return "\n".join([*lines, TAIL, *toctree])


def _tally(every: list[dict[str, Any]]) -> list[str]:
    """Return a table of how often each verdict was given, and what it means."""
    printed = Counter(entry["verdict"] for entry in every)
    corrected = Counter(entry["corrected_verdict"] for entry in every)
    given = [verdict for verdict in Verdict if printed[verdict] + corrected[verdict]]
    rows = [(badge(each), str(printed[each]), str(corrected[each]), MEANINGS[each]) for each in given]
    return table(("verdict", "as printed", "corrected", "it means"), rows)


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    """Return a claim's row in the table of all claims."""
    link = f"[{typeset(entry['title'])}](#claim-{entry['id']})"
    verdicts = badge(entry["verdict"]), typeset(entry["rests_on"]), badge(entry["corrected_verdict"])
    return link, typeset(entry["equation"]), *verdicts


def claims_page(part: str, entries: list[dict[str, Any]]) -> str:
    """Return the page of a part, on which each claim is a section."""
    lines = [f"# {part}\n", CLAIMS]
    for entry in entries:
        lines += _claim(entry)
    return "\n".join(lines)


def _claim(entry: dict[str, Any]) -> Iterator[str]:
    """Yield a claim's section."""
    yield f"(claim-{entry['id']})=\n\n## {typeset(' '.join([entry['title'], entry['equation']]).strip())}\n"
    said = "As printed" if entry["printed"] else "Found"
    yield f"{_resting(said, entry['verdict'], entry['rests_on'])}\n\n: {typeset(entry['statement'])}\n"
    if entry["argument"]:
        yield f"By hand\n\n: {typeset(entry['argument'])}\n"
    if entry["corrected"]:
        right = _resting("Corrected", entry["corrected_verdict"], entry["corrected_rests_on"])
        yield f"{right}\n\n: {typeset(entry['corrected'])}\n"
    yield f"Tested on\n\n: {typeset(entry['tested_on'])}\n"
    yield from _evidence(entry)
    for picture in entry["pictures"]:
        yield from _figure(picture)
    yield from _repeat(entry)


def _resting(said: str, verdict: str, rests_on: str) -> str:
    """Return a verdict with what it rests on."""
    return f"{said} {badge(verdict)} {typeset(rests_on)}".rstrip()


def _evidence(entry: dict[str, Any]) -> Iterator[str]:
    """Yield what the verdict rests on: lines of numbers, and a table."""
    yield "Evidence\n"
    lines = [f"- {typeset(line)}" for line in entry["evidence"]]
    yield "\n".join([f": {lines[0]}", *(f"  {line}" for line in lines[1:]), ""])
    if entry["table"]:
        rows = [tuple(map(_cell, row)) for row in entry["table"]["rows"]]
        yield ":::{container} numbers"
        yield from table(tuple(map(_cell, entry["table"]["head"])), rows)
        yield ":::\n"


def _cell(text: str) -> str:
    """Return a table's cell, where verdicts are words with their colour."""
    word, _, rest = text.partition(": ")
    return f"{badge(word)} {typeset(rest)}".rstrip() if word in _MARKS else typeset(text)


def _figure(picture: dict[str, str]) -> Iterator[str]:
    """Yield a picture with its caption."""
    alt = json.dumps(picture["alt"], ensure_ascii=False)
    yield f":::{{figure}} ../{picture['file']}\n:alt: {alt}\n:figclass: claim\n"
    yield f"{typeset(picture['caption'])}\n:::\n"


def _repeat(entry: dict[str, Any]) -> Iterator[str]:
    """Yield the commands that repeat a claim."""
    yield "To repeat it:\n\n```text"
    yield from commands(entry["tested_on"])
    yield "mpisign report results -o report\n```\n"


def commands(tested_on: str) -> list[str]:
    """Return the commands that make a claim's data, run its jobs and draw what needs no job."""
    jobs = list(dict.fromkeys(re.findall(r"jobs/([\w-]+)\.toml", tested_on)))
    scripts = dict.fromkeys(re.findall(r"analysis/\w+\.py", tested_on))
    made = dict.fromkeys(line for job in jobs for line in _data(job))
    runs = [f"mpisign run jobs/{job}.toml -o results/{job}.h5" for job in jobs]
    return [*made, *runs, *(f"python {script} -o figures" for script in scripts)]


def _data(job: str) -> Iterator[str]:
    """Yield the command that makes a job's data, which a comment of a job says, where they are a file."""
    for file in re.findall(r'^data = "(.+\.h5)"', (JOBS / f"{job}.toml").read_text(encoding="utf-8"), re.M):
        every = "\n".join(path.read_text(encoding="utf-8") for path in sorted(JOBS.glob("*.toml")))
        yield re.findall(rf"^# +(mpisign data .* {re.escape(file)} .*)$", every, re.M)[0]
