"""The report from small runs: what it says of each claim, its HTML and JSON, and how it looks in a browser."""

import errno
import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from alone import run_alone
from launch import ROOT
from mpisign.cli.main import main
from mpisign.config.validation import InputError
from mpisign.storage.trajectory import Trajectory

RUNS = {
    "example1": ["example1"],
    "example1-again": ["example1", "--set", "seed=5"],
    "example3": ["example3", "--set", "log.iterates=false"],
    "figure1": ["figure1"],
    "figure2": ["figure2", "--repeats", "0:2", "--set", "iterations=20"],
    "../figure2-batch1": ["figure2", "--repeats", "0:2", "--set", "iterations=20", "--set", "oracle.batch=1"],
}
"""File, then job and options. There is none of example2 and figure3, example3 lacks what its claim needs.

What lies beside the folder of results goes into no report.
"""

VERDICTS = {"proved", "refuted", "confirmed", "violated", "vacuous", "inconclusive", "not run"}


@pytest.fixture(scope="module")
def analysis():
    """The modules of analysis/, as a script finds them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "analysis")
        from mpisign.audit.report import build

        yield build


@pytest.fixture
def run_report(script):
    """Run report.py as a command; returns its exit status and what it printed."""
    return lambda *arguments: script("report", *arguments)


@pytest.fixture(scope="module")
def report(analysis, tmp_path_factory):
    """The folder of a report from RUNS, and what was printed; Figure 2, whose drawing takes longest, as a blank."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(analysis.page, "DPI", 50)
        for name in ("figure2.draw", "example5.draw"):
            patch.setattr(name, lambda _: plt.figure(figsize=(9.6, 2.0)))
        assert main(["data", "synth", "--like", "epsilon", "results/epsilon-small.h5", "--n", "200", "--d", "10"]) == 0
        for name, (job, *options) in RUNS.items():
            assert main(["run", str(ROOT / "jobs" / f"{job}.toml"), "-o", f"results/{name}.h5", *options]) == 0
    return folder / "report", analysis.make(folder / "results", folder / "report")


@pytest.fixture(scope="module")
def claims(report):
    return {claim["id"]: claim for claim in json.loads((report[0] / "report.json").read_text("utf-8"))}


@pytest.fixture(scope="module")
def html(report):
    return (report[0] / "report.html").read_text("utf-8")


# What it says


def test_every_claim_has_a_verdict_and_evidence(claims):
    assert len(claims) >= 10
    for claim in claims.values():
        assert claim["verdict"] in VERDICTS
        assert claim["corrected_verdict"] in (VERDICTS if claim["corrected"] else {None})
        assert claim["evidence"]
        assert all(isinstance(line, str) and line for line in claim["evidence"])
        assert claim["title"]
        assert claim["statement"]
        assert claim["tested_on"]


@pytest.mark.parametrize(
    ("claim", "verdict", "corrected"),
    [
        ("example-1", "confirmed", "confirmed"),
        ("figure-1", "vacuous", "confirmed"),
        ("proposition-1-1", "confirmed", None),
        ("proposition-2-1", "confirmed", None),
    ],
)
def test_verdicts(claim, verdict, corrected, claims):
    assert (claims[claim]["verdict"], claims[claim]["corrected_verdict"]) == (verdict, corrected)


def test_what_was_not_run_says_how_to(claims):
    for name, claim in (("example2", "example-2"), ("figure3", "figure-3")):
        assert (claims[claim]["verdict"], claims[claim]["corrected_verdict"]) == ("not run", "not run")
        assert claims[claim]["evidence"] == [f"not run: mpisign run jobs/{name}.toml -o results/{name}.h5"]
        assert claims[claim]["figures"] == []


def test_a_figure_cut_short_is_no_result(claims, html):
    for claim in ("figure-2-a", "figure-2-b", "figure-2"):
        assert (claims[claim]["verdict"], claims[claim]["corrected_verdict"]) == ("inconclusive", "inconclusive")
        assert claims[claim]["evidence"][0].startswith("figure2.h5 was cut short: 2 of ")
        assert "20 of " in claims[claim]["evidence"][0]
    assert "no trajectory file of its job is there" in html  # the legend
    assert re.search(r'data-head="repeats">0:2<', html)


def test_a_file_without_what_a_claim_needs_leaves_it_open(claims):
    assert claims["example-3"]["verdict"] == "inconclusive"
    assert re.search(r"example3\.h5: expected a complete run .* iterates = true", claims["example-3"]["evidence"][0])


def test_a_claim_sees_every_file_of_its_job(report, claims):
    from mpisign.audit.claims.section5 import figure_2a

    found, folder = claims["example-1"], report[0].parent
    assert [caption.split()[-1] for caption in found["figures"]] == ["example1-again.h5.", "example1.h5."]
    assert [
        sum(line.startswith(f"{name}: ") for line in found["evidence"]) for name in ("example1-again", "example1")
    ] == [5, 5]
    entry = figure_2a({"figure2": [Trajectory(folder / path) for path in ("results/figure2.h5", "figure2-batch1.h5")]})
    assert entry.table.head[1:] == ["figure2-batch1", "figure2"]
    assert len(entry.table.rows) == 7
    assert all(len(row) == 3 for row in entry.table.rows)
    assert len(entry.figures) == 2


def test_a_run_that_was_cut_off_is_not_taken_for_one_that_diverged(report, analysis):
    file = Trajectory(report[0].parent / "results" / "figure2.h5")
    file.runs[0].repeats[1].status = "running"
    entry = analysis.claims.judged(analysis.claims.figure_2a, {"figure2": [file]})
    assert entry.verdict == "inconclusive"
    assert entry.table is None
    assert "cut off" in entry.evidence[0]


def test_it_prints_a_line_for_each_claim(report, claims):
    folder, printed = report
    assert [line.split()[0] for line in printed[: len(claims)]] == list(claims)
    printed_verdicts = [re.split(r"\s{2,}", line)[1] for line in printed[: len(claims)]]
    assert printed_verdicts == [claim["verdict"] for claim in claims.values()]
    *said, html, data = printed[len(claims) :]
    assert [html, data] == [f"wrote {folder / 'report.html'}", f"wrote {folder / 'report.json'}"]
    open_claims = [
        claim
        for claim in claims.values()
        if {"not run", "inconclusive"} & {claim["verdict"], claim["corrected_verdict"]}
        and any(line.startswith("not run: ") for line in claim["evidence"])
    ]
    assert said[0].startswith(f"{len(open_claims)} claims are not judged in full, as a job of theirs has no file in ")
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json"]


def test_without_the_option_there_are_no_pictures(report, claims):
    assert {str(claim["pictures"]) for claim in claims.values()} == {"[]"}
    assert not (report[0] / "pictures").exists()


def test_pictures_are_written_beside_the_report_and_named_in_it(report, run_report, tmp_path):
    """A figure of each of two files, and two that need none: of Appendix A, and of how sharp the theorems are."""
    (tmp_path / "results").mkdir()
    for name in ("example1.h5", "example1-again.h5"):
        shutil.copy(report[0].parent / "results" / name, tmp_path / "results")
    status, out, err = run_report(tmp_path / "results", "-o", tmp_path / "report", "--pictures")
    assert (status, err) == (0, "")
    found = json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))
    pictures = {claim["id"]: claim["pictures"] for claim in found if claim["pictures"]}
    assert list(pictures) == ["example-1", "proposition-1-1", "beyond-sharpness"]
    assert [each["file"] for each in pictures["example-1"]] == ["pictures/example-1.png", "pictures/example-1-2.png"]
    for claim in found:
        assert [each["caption"] for each in claim["pictures"]] == claim["figures"]
    for each in (each for some in pictures.values() for each in some):
        assert f"wrote {tmp_path / 'report' / each['file']}\n" in out
        assert each["alt"]
        with Image.open(tmp_path / "report" / each["file"]) as image:
            assert (image.format, image.mode) == ("PNG", "P")
            assert 850 <= image.width <= 1000
    assert len(list((tmp_path / "report" / "pictures").iterdir())) == 4


def test_a_figure_that_is_refused_has_no_picture(tmp_path):
    from mpisign.audit.claims.claim import Claim, Drawing
    from mpisign.audit.report import pictures

    def refused():
        raise InputError("file.h5", "expected more")

    drawings = [Drawing("one", "", refused), Drawing("two", "", lambda: plt.figure(figsize=(3, 2)))]
    claim = Claim("id", "title", "", "statement", "job", ["evidence"], figures=drawings)
    made = pictures.write(pictures.kept({"part": [claim]}), tmp_path)
    assert [(each.file, each.caption) for each in made["id"]] == [("pictures/id-2.png", "two")]
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["id-2.png"]


def test_pictures_that_cannot_be_written_are_one_line(tmp_path):
    from mpisign.audit.report import pictures

    (tmp_path / "pictures").write_text("a file")
    with pytest.raises(InputError, match="pictures: expected a folder to write into"):
        pictures.write({}, tmp_path)


def test_several_parts_of_a_claim_make_one_verdict(analysis):
    from mpisign.audit.claims.claim import Verdict, together

    yes, no, open_ = Verdict.CONFIRMED, Verdict.VIOLATED, Verdict.INCONCLUSIVE
    for parts, verdict in (([yes, yes], yes), ([yes, open_, no], no), ([yes, open_], open_), ([], open_)):
        assert together(parts) is verdict


def test_bad_input_is_one_line(run_report, tmp_path):
    assert run_report(tmp_path / "nowhere")[::2] == (
        2,
        f"report.py: {tmp_path / 'nowhere'}: expected a folder with trajectory files\n",
    )
    status, out, err = run_report(tmp_path, "-o", tmp_path / "report")
    assert (status, out) == (2, "")
    assert "expected trajectory files (*.h5) made by mpisign run; found none" in err
    (tmp_path / "cut-off.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    status, out, err = run_report(tmp_path, "-o", tmp_path / "report")
    assert (status, out) == (2, "")
    assert "cut-off.h5: " in err
    assert err.count("\n") == 1
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("claim", ["falls", "json:loads", "nowhere:falls"])
def test_a_claim_that_is_none_is_refused_in_one_line(claim, run_report, tmp_path):
    """A function that says it returns an Entry is called, and nothing else that is named."""
    run = '[[runs]]\nmethod = "gd"\nstep = { kind = "constant", alpha = 1e-3 }'
    run_alone(tmp_path, f'iterations = 1\nproblem = {{ kind = "toy" }}\n{run}')
    status, out, err = run_report(tmp_path, "-o", tmp_path / "report", "--claim", claim)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("report.py: --claim: ")
    assert claim in err


def test_what_cannot_be_written_leaves_the_last_report(analysis, tmp_path, monkeypatch):
    def full(part, text, **how):
        part.write_bytes(text.encode()[:2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "report.html"
    analysis.write(path, "whole")
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        analysis.write(path, "half")
    assert path.read_text() == "whole"


def test_a_page_that_names_a_file_whose_name_is_no_utf_8_is_written(analysis, tmp_path):
    analysis.write(tmp_path / "page.html", "<p>\udcff.h5 α</p>")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "<p>\\udcff.h5 α</p>"


def test_mathematics_is_typeset_and_the_rest_escaped(analysis):
    from mpisign.audit.report.page import maths

    assert maths("x_{k+1} < ζ^{k} & <b>x_k</b>") == "x<sub>k+1</sub> &lt; ζ<sup>k</sup> &amp; &lt;b&gt;x_k&lt;/b&gt;"
    assert maths("holds: 0.99 [0.9, 1.1]") == "holds: 0.99\u00a0[0.9,\u00a01.1]"


# The page


class Page(HTMLParser):
    """Elements with their attributes; an end tag that does not fit its start is refused."""

    VOID = ("meta", "link", "img")

    def __init__(self, text):
        super().__init__()
        self.open, self.elements = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.open += [] if tag in self.VOID else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def every(self, attribute, *tags):
        return [values[attribute] for tag, values in self.elements if attribute in values and tag in (tags or [tag])]


def test_the_page_is_whole(html, claims):
    page = Page(html)
    ids = page.every("id")
    assert len(ids) == len(set(ids))
    links = page.every("href", "a")
    assert {f"#{claim}" for claim in claims} <= set(links)
    assert {link.removeprefix("#") for link in links if link.startswith("#")} <= set(ids)
    for claim in claims.values():
        (section,) = re.findall(rf'<section class="claim" id="{claim["id"]}".*?</section>', html, re.S)
        assert f'class="verdict {claim["verdict"].replace(" ", "-")}"' in section
        assert section.count("<li>") == len(claim["evidence"])
        assert section.count("<img ") == len(claim["figures"])
    assert "example1-again.h5" in html
    assert "iterations=20" in html


def test_nothing_is_fetched(html):
    page = Page(html)
    sources = [*page.every("src"), *page.every("href", "link")]
    assert len(sources) > 4
    assert all(source.startswith("data:") for source in sources)
    assert not {"script", "iframe", "object"} & {tag for tag, _ in page.elements}
    assert not re.search(r"url\(|@import", html)
    assert all(page.every("alt", "img"))


# In a browser

SWITCHES = (
    "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)

OVERLAPS = """
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), boxes = [];
while (texts.nextNode()) {
  const range = document.createRange();
  range.selectNodeContents(texts.currentNode);
  for (const box of range.getClientRects())
    if (texts.currentNode.data.trim() && box.width > 0) boxes.push([box, texts.currentNode]);
}
const share = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
  && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
return [boxes.length, boxes.flatMap(([box, text], i) => boxes.slice(i + 1)
  .filter(([other, its]) => its.parentElement !== text.parentElement && share(box, other))
  .map(([_, its]) => text.data.trim() + " | " + its.data.trim()))];
"""

BEYOND = """
const inBox = element => element.parentElement?.closest(".box");
return [...document.body.querySelectorAll("*")]
  .filter(element => !inBox(element) && element.getBoundingClientRect().right > innerWidth + 0.5)
  .map(element => element.outerHTML.slice(0, 80));
"""


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window; the test is skipped, saying so, where it is not there."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no Chromium with its driver: apt-get install --no-install-recommends chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for switch in SWITCHES.split():
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    with webdriver.Chrome(options=options, service=Service(driver)) as browser:
        yield browser


@pytest.fixture(params=["1200 screen light", "1200 screen dark", "360 screen light", "720 print light"])
def opened(request, report, browser):
    """The page in a window of that width."""
    width, media, scheme = request.param.split()
    size = {"width": int(width), "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    browser.get((report[0] / "report.html").as_uri())
    assert browser.execute_script("return innerWidth") == int(width)
    assert browser.execute_script("return matchMedia(arguments[0]).matches", media)
    return browser


def test_in_a_browser(opened):
    """Every figure is there, nothing is wider than the page, no text lies on another, nothing is fetched."""
    images = opened.execute_script("return [...document.images].map(image => image.complete && image.naturalWidth)")
    assert len(images) > 4
    assert all(images)
    assert opened.execute_script("return document.scrollingElement.scrollWidth <= innerWidth")
    assert opened.execute_script(BEYOND) == []
    count, overlaps = opened.execute_script(OVERLAPS)
    assert count > 200
    assert overlaps == []
    events = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    assert [url for url in asked if not url.startswith(("data:", opened.current_url))] == []
    assert opened.get_log("browser") == []


def test_the_look_in_a_browser_would_see_a_fault(opened):
    """Text pushed over its neighbour and a wide box are found."""
    opened.execute_script("document.querySelector('h2').style.marginBottom = '-3rem'")
    assert opened.execute_script(OVERLAPS)[1]
    opened.execute_script("document.querySelector('h2').style.width = '3000px'")
    assert opened.execute_script(BEYOND)
    assert not opened.execute_script("return document.scrollingElement.scrollWidth <= innerWidth")
