"""Look at the built documentation: every internal link leads somewhere, and every formula is set.

python tests/site.py build/docs
"""

import re
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"


class Page(HTMLParser):
    """The links and anchors of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id" and value:
                self.anchors.add(value)
            if name in ("href", "src") and value:
                self.links.append(value)


def dead_links(site):
    """Yield each link of the site to a page, file or anchor that is not there, or to another host's file."""
    pages = {path: Page(path) for path in site.rglob("*.html")}
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
            found = pages.get(target)
            if not target.exists() or (parts.fragment and found and unquote(parts.fragment) not in found.anchors):
                yield f"{path.relative_to(site)}: {link}"


def loaded_from_elsewhere(site):
    """Yield what a page would load from another host when it is opened."""
    for path in site.rglob("*.html"):
        for found in re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(https?://[^"]+)"', path.read_text()):
            yield f"{path.relative_to(site)}: {found}"


def unset_formulas(site):
    """Yield each formula that KaTeX marks as wrong, as Chromium shows the pages that have formulas."""
    browser = shutil.which("chromium")
    if browser is None:
        print("no chromium here: formulas are not looked at")
        return
    for path in sorted(site.rglob("*.html")):
        if 'class="math' not in path.read_text():
            continue
        with tempfile.TemporaryDirectory() as profile:
            command = [
                browser,
                *FLAGS.split(),
                "--virtual-time-budget=9000",
                f"--user-data-dir={profile}",
                "--dump-dom",
            ]
            shown = subprocess.run([*command, path.resolve().as_uri()], capture_output=True, text=True).stdout
        if 'class="katex"' not in shown:
            yield f"{path.relative_to(site)}: no formula was set"
        for found in re.findall(r'katex-error"[^>]*title="([^"]+)"', shown):
            yield f"{path.relative_to(site)}: {found}"


def main():
    """Print what is wrong with the site; return 1 if something is."""
    site = Path(sys.argv[1])
    wrong = [*dead_links(site), *loaded_from_elsewhere(site), *unset_formulas(site)]
    print("\n".join(wrong) or f"{sum(1 for _ in site.rglob('*.html'))} pages: links and formulas are right")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
