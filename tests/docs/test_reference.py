"""The reference pages: every key and every name in a file is on them, and what they name is there."""

import re
import sys
from pathlib import Path

import pytest

from launch import ROOT
from mpisign.aggregation.exchange_registry import EXCHANGES
from mpisign.cli.list_kinds import asked
from mpisign.comm.communicator import SerialCommunicator
from mpisign.config.experiment import RUN_KEYS, TOP_KEYS, parse
from mpisign.config.validation import settings
from mpisign.data.bundled import BUNDLED
from mpisign.engine.planning import plan
from mpisign.storage.trajectory import COLUMNS

PAGES = ROOT / "docs" / "reference"


@pytest.fixture(scope="module")
def made():
    """The modules of docs/_ext by name, which Sphinx imports from there."""
    folder = str(ROOT / "docs" / "_ext")
    sys.path.insert(0, folder)
    try:
        import docstrings
        import file_descriptions
        import files_page
        import job_page

        yield {each.__name__: each for each in (docstrings, file_descriptions, files_page, job_page)}
    finally:
        sys.path.remove(folder)


@pytest.fixture(scope="module")
def job(made):
    return made["job_page"].page()


@pytest.fixture(scope="module")
def files(made):
    return made["files_page"].page()


def section(page, title):
    """The text below a heading, up to the next one of its level."""
    level = title.split()[0]
    return page.partition(f"\n{title}\n")[2].partition(f"\n{level} ")[0]


def test_every_key_of_a_job_is_on_its_page(job):
    assert set(re.findall(r"^\| `(\w+)`", section(job, "## Keys at the top"), re.M)) == set(TOP_KEYS)
    assert set(re.findall(r"^\| `(\w+)`", section(job, "## `[[runs]]`"), re.M)) == {*RUN_KEYS, "method"}
    log = set(re.findall(r"^\| `(\w+)`", section(job, "## `[log]`"), re.M))
    assert log == {"points", "every", "iterates", "clocks"}


def test_every_kind_has_a_section_with_its_settings(made, job):
    for title, _, registry in made["job_page"]._SECTIONS:
        part = section(job, f"## {title}")
        assert re.findall(r"^### `(.+)`$", part, re.M) == made["job_page"].built_in(registry)
        for name in made["job_page"].built_in(registry):
            found = re.findall(r"^\| `(\w+)` \| .+ \| .+ \| .{5,} \|$", section(part, f"### `{name}`"), re.M)
            assert found == [key for key, _, _ in asked(registry, name)]
    assert re.findall(r"^### `(.+)`$", section(job, "## Exchanges"), re.M) == [*EXCHANGES, "auto"]
    assert re.findall(r"^\| `(.+?)` ", section(job, "## Data sets"), re.M) == list(BUNDLED)


def test_the_example_is_a_job_that_can_be_run(made, job):
    text = made["job_page"].EXAMPLE
    assert text in job
    planned = plan(parse(text, []), SerialCommunicator())
    assert [run.workers for run in planned.runs] == [3, 3]
    assert set(TOP_KEYS) == {"iterations", *(key for key in TOP_KEYS if re.search(rf"^\[*{key}\b", text, re.M))}


def test_a_setting_without_a_description_is_refused(made):
    @settings
    class Bare:
        """It says nothing of its setting."""

        bare: int

    with pytest.raises(LookupError, match="expected its docstring to describe bare"):
        made["docstrings"].described(Bare, "bare")


def test_what_is_read_off_a_docstring(made):
    class Base:
        """A base.

        Attributes:
            one: The first,
                on two lines.
        """

    class Kind(Base):
        """x <- x - alpha `v` (3): as in Theorems 1, 2(1) and 3.

        c: a number.

        More.

        Attributes:
            two: "a": the letter.
        """

    read = made["docstrings"]
    assert [read.described(Kind, name) for name in ("one", "two", "c")] == [
        "The first, on two lines.",
        '"a": the letter.',
        "a number.",
    ]
    first, more = read.prose(Kind, {"c"})
    assert more == "More."
    assert read.in_the_paper(first) == ["(3)", "Theorems 1, 2(1) and 3"]
    assert read.markdown('||x||_1 is "a" or `b_1`') == r"""\|\|x\|\|\_1 is `"a"` or `b_1`"""


def test_every_name_in_a_file_is_described_and_every_description_has_a_name(made, files):
    said = made["file_descriptions"]
    for place, names in {**said.TRAJECTORY, **said.DATA}.items():
        assert f"### `{place}`" in files
        assert all(f"\n| `{name}` | " in files for name in names)
    for name, (dtype, unit, what) in COLUMNS.items():
        row = next(line for line in files.splitlines() if line.startswith(f"| `{name}` | dataset"))
        assert [cell.strip() for cell in row.split("|")][2:6] == ["dataset", dtype.__name__, "(records,)", unit]
        assert what.split(",")[0].replace("_", r"\_") in row


@pytest.mark.parametrize(("found", "described"), [({"a", "b"}, {"a"}), ({"a"}, {"a", "b"})])
def test_a_name_on_one_side_alone_is_refused(made, found, described):
    with pytest.raises(LookupError, match=r"\['b'\]"):
        made["files_page"].refuse_unlike(found, described, "names")


def test_a_page_is_the_same_when_it_is_made_again(made, job, files):
    assert (made["job_page"].page(), made["files_page"].page()) == (job, files)
    assert str(ROOT) not in job + files


def test_the_tests_that_are_named_are_there():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (PAGES / "bits.md").read_text())
    assert len(named) > 20
    for path, test in named:
        assert f"def {test}(" in (ROOT / path).read_text(), f"{path}::{test}"


def test_the_cells_on_the_messages_pass():
    """As they are when the site is built, in one process."""
    names = {}
    for cell in re.findall(r"```\{code-cell\}\n(.*?)```", (PAGES / "messages.md").read_text(), re.DOTALL):
        exec(compile(cell, "messages.md", "exec"), names)
    assert "by_counts" in names


def test_every_page_is_in_the_index():
    listed = section(f"\n{(PAGES / 'index.md').read_text()}\n", "# Reference")
    generated = Path(ROOT / "docs" / ".gitignore").read_text()
    for path in {*PAGES.glob("*.md")} - {PAGES / "index.md"}:
        assert f"\n{path.stem}\n" in listed
    assert all(f"\n{name}\n" in listed for name in re.findall(r"reference/(\w+)\.md", generated))
