"""The audit pages: the report that is kept is of the claims as they are, with its pictures, and is all on the pages."""

import html
import json
import re
import sys

import pytest
from PIL import Image

from launch import ROOT
from mpisign.audit import claims

FOLDER = ROOT / "docs" / "audit"
KEPT = json.loads((FOLDER / "report.json").read_text(encoding="utf-8"))
STATED = ("id", "title", "equation", "statement", "tested_on", "argument", "printed")


@pytest.fixture(scope="module")
def audit():
    """The module of docs/_ext, which Sphinx imports from there."""
    folder = str(ROOT / "docs" / "_ext")
    sys.path.insert(0, folder)
    try:
        import audit_pages

        yield audit_pages
    finally:
        sys.path.remove(folder)


@pytest.fixture(scope="module")
def pages(audit):
    return audit.pages()


def section(pages, audit, entry):
    """The section of a claim."""
    page = pages[f"audit/claims/{audit.stem(entry['part'])}.md"]
    return page.split(f"(claim-{entry['id']})=\n")[1].split("\n(claim-")[0]


def shown(text):
    """Text of a page as a reader sees it, without marks and white space."""
    plain = html.unescape(re.sub(r"</?su[bp]>", "", re.sub(r"\\(.)", r"\1", text)))
    return re.sub(r"[\s\u2060]|_\{|\^\{|\}", "", plain)


def test_the_report_that_is_kept_has_the_claims_of_the_registry():
    """In their order, as stated now; where this fails, the file is old, and CONTRIBUTING.md says how to make it."""
    now = [{"part": part, **entry._asdict()} for part, some in claims.entries({}).items() for entry in some]
    for each, kept in zip(now, KEPT, strict=True):
        assert {key: kept[key] for key in ("part", *STATED)} == {key: each[key] for key in ("part", *STATED)}
        assert bool(kept["corrected"]) == (kept["corrected_verdict"] is not None)
        assert kept["corrected"] == each["corrected"]
    assert "not run" not in {entry["verdict"] for entry in KEPT}


def test_every_picture_is_there_and_none_is_left_over():
    named = [picture["file"] for entry in KEPT for picture in entry["pictures"]]
    assert sorted(named) == sorted(f"pictures/{path.name}" for path in (FOLDER / "pictures").iterdir())
    for entry in KEPT:
        assert [picture["caption"] for picture in entry["pictures"]] == entry["figures"]
        assert all(picture["alt"] for picture in entry["pictures"])
    for name in named:
        with Image.open(FOLDER / name) as image:
            assert image.mode == "P"
            assert 850 <= image.width <= 1100
    sizes = [path.stat().st_size for path in (FOLDER / "report.json", *(FOLDER / "pictures").iterdir())]
    assert sum(sizes) < 2_000_000


def test_every_claim_is_in_the_table_with_its_verdicts(audit, pages):
    for entry in KEPT:
        (row,) = re.findall(rf"^\| \[.+\]\(#claim-{entry['id']}\) .*$", pages["audit/index.md"], re.M)
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        assert [cells[2], cells[4]] == [audit.badge(entry["verdict"]), audit.badge(entry["corrected_verdict"])]
        assert shown(cells[3]) == shown(audit.typeset(entry["rests_on"]))
        assert entry["rests_on"] or entry["verdict"] == "vacuous"


@pytest.mark.parametrize("entry", KEPT, ids=lambda entry: entry["id"])
def test_every_claim_has_its_section(audit, pages, entry):
    text = section(pages, audit, entry)
    assert f"{'As printed' if entry['printed'] else 'Found'} {audit.badge(entry['verdict'])}" in text
    assert ("\nCorrected " in text) == bool(entry["corrected"])
    if entry["corrected"]:
        assert f"Corrected {audit.badge(entry['corrected_verdict'])}" in text
    said = shown(text)
    for line in (
        entry["title"],
        entry["statement"],
        entry["corrected"],
        entry["argument"],
        entry["tested_on"],
        *entry["evidence"],
    ):
        assert shown(line) in said, line
    rows = entry["table"]["rows"] if entry["table"] else []
    assert len(re.findall(r"^\| ", text, re.M)) == len(rows) + bool(rows)
    assert re.findall(r"^:::\{figure\} \.\./(.+)$", text, re.M) == [picture["file"] for picture in entry["pictures"]]
    assert "\nmpisign report results -o report\n" in text


def test_the_commands_name_jobs_that_are_there_and_their_data(audit):
    found = {entry["id"]: audit.commands(entry["tested_on"]) for entry in KEPT}
    for command in (line for lines in found.values() for line in lines):
        assert all((ROOT / name).exists() for name in re.findall(r"(?:jobs|analysis)/[\w-]+\.\w+", command))
    assert found["figure-3"] == [
        "mpisign data synth --like epsilon results/epsilon-small.h5 --n 20000 --d 200",
        "mpisign run jobs/figure3.toml -o results/figure3.h5",
    ]
    assert found["proposition-1-1"] == ["python analysis/flows.py -o figures"]


def test_text_is_no_markup(audit):
    assert audit.typeset("x_{k+1} < |a_b| $1 [c] *") == r"x<sub>k+1</sub> &lt; \|a\_b\| \$1 \[c\] \*"


def test_every_page_is_ignored_and_in_the_hidden_contents(audit, pages):
    ignored = (ROOT / "docs" / ".gitignore").read_text().splitlines()
    assert {"audit/index.md", "audit/claims/"} <= set(ignored)
    assert {name for name in pages if name != "audit/index.md"} == {
        f"audit/{name}.md" for name in re.findall(r"^claims/[\w-]+$", pages["audit/index.md"], re.M)
    }
    assert audit.pages() == pages


def intervals(text):
    """Every "value [low, high]" of a text, as numbers; a unit may stand behind the value."""
    number = r"(-?[\d.]+(?:e[+-]\d+)?)"
    return {tuple(map(float, found)) for found in re.findall(rf"{number}(?: Mbit/s)? \[{number}, {number}\]", text)}


def test_what_was_found_is_what_the_report_says():
    """Intervals up to the section on speed, and the ratios of Example 5, which stand there without theirs.

    What was found at the paper's size is no part of the report: tests/audit/test_full_scale.py has it.
    """
    page = (FOLDER / "found.md").read_text("utf-8").partition("## Speed and scale")[0]
    before, title, full = page.partition("### At the paper's size")
    full, section, after = full.partition("\n## ")
    page = before + title + re.sub(r"^(\|[^|\n]+\|[^|\n]+\|)[^|\n]+\|$", r"\1", full, flags=re.M) + section + after
    rows = [row for entry in KEPT if entry["table"] for row in entry["table"]["rows"]]
    lines = [line for entry in KEPT for line in entry["evidence"]]
    known = intervals("\n".join([*lines, *(cell for row in rows for cell in row)]))
    assert len(intervals(page)) > 30
    assert intervals(page) - known == set()
    example = page.partition("### The constant step, alpha = 2")[2].partition("### More workers")[0]
    cells = re.findall(r"(?<=\| )\**([\d.]+)\**(?= \|)", example)
    assert len(cells) > 40
    assert {float(cell) for cell in cells} <= {value for value, _, _ in known}
