"""A data set from the network: whole or in parts, the same bytes; whatever goes wrong is one line, and harms nothing.

The network is a server of this process, on this machine alone.
"""

import bz2
import errno
import gzip
import hashlib
import lzma
import os
import re
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest

from mpisign.cli.main import main
from mpisign.data.file import DataFile
from mpisign.data.remote import download, published
from mpisign.data.remote.published import PUBLISHED, Published

LINES = [f"{'+1' if i % 3 else '-1'} {1 + i % 5}:{i}.5 {7 + i % 4}:-{i}e-3\n" for i in range(1, 400)]
TEXT = "".join(LINES).encode()
N, D, NNZ = len(LINES), 10, 2 * len(LINES)
PAGE = b"<!DOCTYPE html>\n<html><body>Sign in</body></html>\n"


class Site(ThreadingHTTPServer):
    """Serves `content` at every path, and keeps what it was asked.

    ranges: whether it knows them; cuts: after how many bytes of an answer it closes the connection, one number an
    answer; answers: statuses that it gives first, then it serves; gone: paths that are 404; version: its ETag.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.ranges, self.cuts, self.answers, self.gone = TEXT, True, [], [], ()
        self.version, self.respects_if_range, self.asked, self.conditions, self.sent = '"1"', True, [], [], 0

    def at(self, path):
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        site, wanted = self.server, self.headers.get("Range")
        site.asked.append((self.path, wanted))
        site.conditions.append(self.headers.get("If-Range"))
        if site.answers or self.path in site.gone:
            self.send_error(site.answers.pop(0) if site.answers else 404)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and site.ranges else 0
        if site.respects_if_range and self.headers.get("If-Range") not in (None, site.version):
            start = 0
        if start and start >= len(site.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(site.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(site.content) - 1}/{len(site.content)}")
        if site.version:
            self.send_header("ETag", site.version)
        self.send_header("Content-Length", str(len(site.content) - start))
        self.end_headers()
        body = site.content[start:]
        body = body[: site.cuts.pop(0)] if site.cuts else body
        self.wfile.write(body)
        site.sent += len(body)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A site that publishes all known names, with a cache and a folder of this test alone."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr(download, "_BLOCK_BYTES", 500)
    with Site() as serving:
        monkeypatch.setattr(published, "BASE", serving.at(""))
        Thread(target=lambda: serving.serve_forever(poll_interval=0.01), daemon=True).start()
        yield serving
        serving.shutdown()


@pytest.fixture
def fetch(capsys):
    """Run `mpisign data fetch`; returns the status and the lines that were said on stderr."""

    def run(*words):
        status = main(["data", "fetch", *words])
        return status, capsys.readouterr().err.splitlines()

    return run


def cached(ending=""):
    """The files of the cache whose names end so; "": all of them."""
    folder = Path("cache", "mpisign", "data")
    return sorted(path for path in folder.glob(f"*{ending}") if path.is_file()) if folder.exists() else []


@pytest.mark.parametrize(
    ("name", "pack"), [("a.svm", bytes), ("a.gz", gzip.compress), ("a.bz2", bz2.compress), ("a.xz", lzma.compress)]
)
def test_a_text_at_an_address(site, fetch, name, pack):
    site.content = pack(TEXT)
    assert fetch(site.at(name)) == (0, [])
    file = DataFile(Path("a.h5" if name != "a.svm" else "a.svm.h5"))
    assert file.layout[:3] == (N, D, NNZ)
    assert file.attributes["source"] == site.at(name)
    assert file.attributes["source_sha256"] == hashlib.sha256(site.content).hexdigest()
    (kept,) = cached(name)
    assert kept.read_bytes() == site.content
    assert cached() == [kept, kept.with_name(f"{kept.name}.sha256")]


def test_a_second_fetch_asks_nobody(site, fetch):
    assert fetch(site.at("a.svm"), "-o", "one.h5")[0] == 0
    assert fetch(site.at("a.svm"), "-o", "two.h5", "--dense", "--dtype", "float32", "--dimension", "12") == (0, [])
    assert site.asked == [("/a.svm", None)]
    assert DataFile(Path("two.h5")).layout == (N, 12, NNZ, False, "float32")


@pytest.mark.parametrize("version", ['"1"', None])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_connection_that_breaks_goes_on(site, fetch, ranges, version):
    """Where the server cannot say which version a part is of, the whole file is asked for again."""
    site.ranges, site.version, site.cuts = ranges, version, [1000, 2000]
    status, said = fetch(site.at("a.svm"))
    assert status == 0
    start = f"mpisign: {site.at('a.svm')}: the connection broke after"
    reached = 3000 if ranges and version else 2000
    assert said == [f"{start} {size} of {len(TEXT)} bytes; trying again" for size in (1000, reached)]
    assert cached("a.svm")[0].read_bytes() == TEXT
    parts = [None, "bytes=1000-", "bytes=3000-"] if ranges else [None, "bytes=1000-", "bytes=2000-"]
    assert [asked for _, asked in site.asked] == (parts if version else [None] * 3)
    assert site.conditions == [None, version, version]
    if ranges and version:
        assert site.sent == len(TEXT)


def test_it_does_not_give_up_as_long_as_something_new_arrives(site, fetch):
    site.cuts = [1000] * 6
    status, said = fetch(site.at("a.svm"))
    assert (status, len(said), site.sent) == (0, 6, len(TEXT))


def test_a_download_that_was_given_up_goes_on_at_the_next_command(site, fetch):
    site.cuts = [1000, 0, 0, 0, 0]
    status, (*_, last) = fetch(site.at("a.svm"))
    assert status == 2
    (part,) = cached(".partial")
    assert last.endswith(f"4 times; what is there is kept in {part.absolute()}, the same command goes on")
    assert part.read_bytes() == TEXT[:1000]
    assert not Path("a.svm.h5").exists()
    site.cuts, site.asked = [], []
    assert fetch(site.at("a.svm")) == (0, [])
    assert site.asked == [("/a.svm", "bytes=1000-")]
    assert cached("a.svm")[0].read_bytes() == TEXT
    assert not cached(".partial") + cached(".version") + cached(".part")


@pytest.mark.parametrize("respects_if_range", [True, False])
def test_parts_of_two_versions_are_not_put_together(site, fetch, respects_if_range):
    site.cuts = [1000, 0, 0, 0, 0]
    assert fetch(site.at("a.svm"))[0] == 2
    site.content, site.version, site.cuts = TEXT.replace(b".5", b".25"), '"2"', []
    site.respects_if_range = respects_if_range
    assert fetch(site.at("a.svm"))[0] == 0
    assert cached("a.svm")[0].read_bytes() == site.content


def test_a_part_that_is_whole_already_only_gets_its_name(site, fetch):
    site.cuts = [1000, 0, 0, 0, 0]
    fetch(site.at("a.svm"))
    cached(".partial")[0].write_bytes(TEXT)
    site.cuts, site.sent = [], 0
    assert fetch(site.at("a.svm")) == (0, [])
    assert site.sent == 0
    assert cached("a.svm")[0].read_bytes() == TEXT


def test_a_busy_server_is_asked_again(site, fetch):
    site.answers = [503, 429]
    status, said = fetch(site.at("a.svm"))
    assert (status, len(said)) == (0, 2)
    assert "the server answers 503 Service Unavailable; trying again" in said[0]
    site.answers = [503] * 4
    status, (*_, last) = fetch(site.at("b.svm"))
    assert (status, last) == (2, f"mpisign: {site.at('b.svm')}: the server answers 503 Service Unavailable, 4 times")


@pytest.mark.parametrize(
    ("content", "answers", "complaint"),
    [
        (PAGE, [], "expected LIBSVM text, this is an HTML page; look for the address of the file itself"),
        (TEXT, [404], "the server answers 404 Not Found; expected the address of LIBSVM text"),
        (TEXT, [403], "the server answers 403 Forbidden"),
        (b"a,b\n1,2\n", [], "line 1: expected LABEL INDEX:VALUE ... with increasing indices: 'a,b'"),
        (b"", [], "expected LIBSVM text, found no line with data"),
        (bz2.compress(TEXT)[:-9], [], "this compressed file is cut off or damaged: Compressed file ended before"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_and_not_kept(site, fetch, content, answers, complaint):
    Path("a.svm.h5").write_bytes(b"earlier")
    site.content, site.answers = content, answers
    status, (line,) = fetch(site.at("a.svm"), "--overwrite")
    assert status == 2
    assert line.startswith(f"mpisign: {site.at('a.svm')}: {complaint}")
    assert cached() == []
    assert [path.name for path in Path().iterdir() if path.name != "cache"] == ["a.svm.h5"]
    assert Path("a.svm.h5").read_bytes() == b"earlier"


def test_a_page_in_the_way_does_not_overwrite_what_is_there(site, fetch):
    """Such as that of a network that asks for a password first."""
    site.cuts = [1000, 0, 0, 0, 0]
    fetch(site.at("a.svm"))
    site.content, site.ranges, site.cuts = PAGE, False, []
    assert fetch(site.at("a.svm"))[0] == 2
    assert cached(".partial")[0].read_bytes() == TEXT[:1000]
    site.content, site.ranges, site.asked = TEXT, True, []
    assert fetch(site.at("a.svm")) == (0, [])
    assert site.asked == [("/a.svm", "bytes=1000-")]


def test_other_bytes_than_those_of_the_first_fetch_are_refused(site, fetch):
    assert fetch(site.at("a.svm"))[0] == 0
    earlier = Path("a.svm.h5").read_bytes()
    cached("a.svm")[0].unlink()
    site.content = TEXT.replace(b".5", b".25")
    pin = cached(".sha256")[0].absolute()
    said = (
        f"these are not the bytes of the first fetch, whose sha256 is in {pin}; remove that file to take the new ones"
    )
    assert fetch(site.at("a.svm"), "--overwrite") == (2, [f"mpisign: {site.at('a.svm')}: {said}"])
    assert Path("a.svm.h5").read_bytes() == earlier
    assert not cached("a.svm")
    pin.unlink()
    assert fetch(site.at("a.svm"), "--overwrite") == (0, [])
    assert DataFile(Path("a.svm.h5")).attributes["source_sha256"] == hashlib.sha256(site.content).hexdigest()


def test_a_damaged_file_of_the_cache_is_downloaded_again(site, fetch):
    fetch(site.at("a.svm"))
    cached("a.svm")[0].write_bytes(TEXT[:-20])
    assert fetch(site.at("a.svm"), "--overwrite") == (0, [])
    assert cached("a.svm")[0].read_bytes() == TEXT
    cached(".sha256")[0].write_text("nothing")
    status, (line,) = fetch(site.at("a.svm"), "--overwrite")
    assert (status, "expected a sha256 as sha256sum writes it" in line) == (2, True)


def test_a_wrong_dimension_does_not_cost_the_download(site, fetch):
    status, (line,) = fetch(site.at("a.svm"), "--dimension", "9")
    assert (status, "line 3: expected indices from 1 to 9 (--dimension), found 10" in line) == (2, True)
    assert fetch(site.at("a.svm")) == (0, [])
    assert len(site.asked) == 1


class Full:
    """A file that takes so many writes."""

    def __init__(self, file, writes):
        self._file, self._left = file, writes

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()

    def write(self, block):
        if not self._left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._left -= 1
        return self._file.write(block)

    def tell(self):
        return self._file.tell()


@pytest.mark.parametrize("known_before", [True, False])
def test_a_full_disk_is_one_line_and_the_part_stays(site, fetch, monkeypatch, known_before):
    usual = Path.open
    with monkeypatch.context() as full:
        if known_before:
            full.setattr(download.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
        full.setattr(
            Path,
            "open",
            lambda path, *how, **more: (
                Full(usual(path, *how), 2) if path.suffix == ".partial" else usual(path, *how, **more)
            ),
        )
        status, (line,) = fetch(site.at("a.svm"))
    assert status == 2
    assert line.endswith(": No space left on device; what is there is kept, the same command goes on")
    assert [part.read_bytes() for part in cached(".partial")] == ([] if known_before else [TEXT[:1000]])
    assert not Path("a.svm.h5").exists()
    site.asked = []
    assert fetch(site.at("a.svm")) == (0, [])
    assert site.asked == [("/a.svm", None if known_before else "bytes=1000-")]


def test_an_interrupt_keeps_the_part(site, fetch, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as interrupting:
        interrupting.setattr(download.Progress, "show", interrupted)
        said = ["mpisign: interrupted; what is there is kept, the same command goes on"]
        assert fetch(site.at("a.svm")) == (130, said)
    assert cached(".partial")[0].read_bytes() == TEXT[:500]
    assert fetch(site.at("a.svm")) == (0, [])
    assert site.asked[-1] == ("/a.svm", "bytes=500-")


def test_without_a_network_the_line_says_what_to_do(site, fetch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/a.svm.bz2"
    instead = "download it on another machine, then: mpisign data convert a.svm.bz2 a.svm.h5"
    assert fetch(url) == (2, [f"mpisign: {url}: cannot be reached: Connection refused; {instead}"])
    assert [path.name for path in Path().iterdir() if path.name != "cache"] == cached() == []


def test_the_proxy_of_the_environment_is_asked(site, fetch, monkeypatch):
    monkeypatch.setenv("http_proxy", site.at(""))
    assert fetch("http://data.invalid/a.svm") == (0, [])
    assert site.asked == [("http://data.invalid/a.svm", None)]


def test_a_password_is_used_and_not_kept(site, fetch):
    assert fetch(site.at("a.svm").replace("//", "//me:secret@"))[0] == 0
    assert DataFile(Path("a.svm.h5")).attributes["source"] == site.at("a.svm")
    site.answers = [401]
    status, (line,) = fetch(site.at("b.svm").replace("//", "//me:secret@"))
    assert (status, "secret" in line) == (2, False)


def small(monkeypatch, name, files, n=N, d=D + 2, nnz=NNZ):
    monkeypatch.setitem(PUBLISHED, name, Published(files, n, d, nnz))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_known_name_is_asked_for_where_it_is_published(site, fetch, monkeypatch, name):
    small(monkeypatch, name, PUBLISHED[name].files)
    assert fetch(name) == (0, [])
    file = DataFile(Path(f"{name}.h5"))
    assert file.layout[:3] == (N, D + 2, NNZ)
    assert file.attributes["source"] == site.at(PUBLISHED[name].files[0])


@pytest.mark.parametrize(
    ("published_sizes", "said"),
    [
        ({"n": N + 1}, f"this is not the published data set: n = {N} ({N + 1} published)"),
        ({"nnz": 5}, f"this is not the published data set: entries = {NNZ} (5 published)"),
        ({"d": D - 1}, "line 3: expected indices from 1 to 9 (--dimension), found 10"),
    ],
)
def test_a_text_of_other_sizes_than_the_published_ones_is_refused(site, fetch, monkeypatch, published_sizes, said):
    small(monkeypatch, "a9a", ("a9a",), **published_sizes)
    Path("a9a.h5").write_bytes(b"earlier")
    status, (line,) = fetch("a9a", "--overwrite")
    assert status == 2
    assert line.startswith(f"mpisign: {site.at('a9a')}: {said}")
    assert [path.name for path in Path().iterdir() if path.name != "cache"] == ["a9a.h5"]
    assert Path("a9a.h5").read_bytes() == b"earlier"
    assert fetch(site.at("a9a"), "--overwrite") == (0, [])


def test_a_file_that_was_renamed_is_found_by_its_other_name_and_not_asked_for_again(site, fetch, monkeypatch):
    small(monkeypatch, "epsilon", ("new.xz", "old.bz2"), nnz=None)
    site.gone = ("/new.xz",)
    assert fetch("epsilon") == (0, [])
    assert DataFile(Path("epsilon.h5")).attributes["source"] == site.at("old.bz2")
    assert fetch("epsilon", "--overwrite") == (0, [])
    assert [path for path, _ in site.asked] == ["/new.xz", "/old.bz2"]
    site.gone = ("/new.xz", "/old.bz2")
    cached("old.bz2")[0].unlink()
    status, (line,) = fetch("epsilon", "--overwrite")
    assert (status, "new.xz: the server answers 404" in line) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mushroom"], 'fetch: no published data set "mushroom", and no address by http or https; did you mean mush'),
        (["ftp://host/a"], "fetch: no published data set"),
        (["http://[x"], "fetch: no published data set"),
        ([], "fetch: expected the name of a data set or an address; --list has the names"),
        (["http://127.0.0.1:9/"], "-o: expected a name for the output: http://127.0.0.1:9/ does not end in"),
    ],
)
def test_what_is_no_source_is_refused_before_anything_is_asked(site, fetch, words, said):
    status, (line,) = fetch(*words)
    assert status == 2
    assert line.replace("'", '"').startswith(f"mpisign: {said}")


def test_an_output_that_is_there_is_refused_before_anything_is_asked(site, fetch):
    Path("a9a.h5").touch()
    said = "mpisign: a9a.h5: this output exists already; give --overwrite to replace it"
    assert (fetch("a9a"), site.asked) == ((2, [said]), [])


def test_no_cache_folder_is_said(site, fetch, monkeypatch):
    monkeypatch.setattr("mpisign.caches.folder", lambda name: None)
    status, (line,) = fetch("a9a")
    assert (status, line.startswith("mpisign: XDG_CACHE_HOME: expected a folder that can be written")) == (2, True)


def test_the_list_has_every_name_with_its_sizes(capsys):
    assert main(["data", "fetch", "--list"]) == 0
    head, *rows, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "n", "d", "entries", "file"]
    expected = [[k, str(p.n), str(p.d), str(p.nnz or "-"), p.files[0]] for k, p in PUBLISHED.items()]
    assert [row.split() for row in rows] == expected
    assert last.startswith("published at https://")
