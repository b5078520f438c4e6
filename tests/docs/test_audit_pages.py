"""The audit's pages: the report that is kept is of today's claims, and all claims and pictures are on pages."""

import json
import sys

import pytest

from launch import ROOT
from mpisign.audit import claims

sys.path.insert(0, str(ROOT / "docs" / "_ext"))
import audit_pages

AUDIT = ROOT / "docs" / "audit"
REPORT = json.loads((AUDIT / "report.json").read_text(encoding="utf-8"))
PAGES = audit_pages.pages(AUDIT)


def test_the_report_that_is_kept_has_the_claims_of_today():
    """Their statements word for word: `mpisign report results -o report --pictures` makes it again."""
    stated = [entry for some in claims.entries({}).values() for entry in some]
    named = ("id", "title", "equation", "statement", "corrected", "tested_on", "argument", "printed")
    assert [[claim[name] for name in named] for claim in REPORT] == [
        [getattr(entry, name) for name in named] for entry in stated
    ]


def test_it_is_of_a_full_run():
    assert [claim["id"] for claim in REPORT if claim["verdict"] in ("not run", "inconclusive")] == []
    assert [claim["id"] for claim in REPORT if any("cut short" in line for line in claim["evidence"])] == []


def test_a_verdict_says_what_it_rests_on():
    assert [claim["id"] for claim in REPORT if claim["verdict"] != "vacuous" and not claim["rests_on"]] == []


def test_every_picture_is_there_and_none_is_left_over():
    named = {picture["file"] for claim in REPORT for picture in claim["pictures"]}
    assert {path.name for path in (AUDIT / "pictures").iterdir()} == named
    assert sum(path.stat().st_size for path in (AUDIT / "pictures").iterdir()) < 2**21


@pytest.mark.parametrize("claim", REPORT, ids=lambda claim: claim["id"])
def test_a_claim_is_on_its_page_and_in_the_table(claim):
    page = PAGES[f"claims/{audit_pages.slug(claim['part'])}"]
    section = page.split(f"({claim['id']})=\n")[1].split(")=\n## ")[0]
    assert audit_pages.badge(claim["verdict"]) in section
    assert audit_pages.html(claim["statement"]) in section
    assert all(picture["file"] in section for picture in claim["pictures"])
    assert all(audit_pages.html(line) in section for line in claim["evidence"])
    assert f"#{claim['id']})" in PAGES["index"]
