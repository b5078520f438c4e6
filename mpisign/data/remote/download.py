"""Download a file over HTTP so that what broke off goes on: a downloader for pooch.

    FILE.partial             what is there by now
    FILE.partial.version     which version of the file it is of: the ETag or the date that the server gave

The rest is asked for by Range with If-Range (RFC 9110, sections 13.1.5 and 14): a server sends it only if the file is
still that version, and otherwise, as one that knows no ranges, the whole file.
"""

import errno
import itertools
import os
import re
import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit

import requests

from mpisign._version import __version__
from mpisign.config.validation import InputError, one_line
from mpisign.messages import say
from mpisign.progress import Progress

_TRIES, _PAUSE_SECONDS = 4, 1.0
"""How often in a row nothing new may arrive, and how long to wait after the first time; twice as long each time."""
_TIMEOUT_SECONDS = (20.0, 60.0)
"""To connect, and between two blocks."""
_BLOCK_BYTES = 2**16
"""What is lost at most when a connection breaks."""
_BUSY = {408, 425, 429, 500, 502, 503, 504}
"""Answers that may be another one soon."""


class Broken(Exception):
    """The download ended early; what is there is kept."""


class NotThere(InputError):
    """The server has no such file."""


_READING = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
_BREAKS = (Broken, *_READING)


class Download:
    """Downloads to `partial` first, and gives it the name that pooch asks for once it is whole.

    Args:
        partial: where the bytes are kept until then.
        instead: what to do where there is no network, for the message.
    """

    def __init__(self, partial: Path, instead: str):
        self._partial, self._instead = partial, instead
        self._version = partial.with_name(f"{partial.name}.version")
        self._answered = False

    def __call__(self, url: str, output_file: str, pooch: object = None) -> None:
        """Download the file.

        Args:
            url: its address, http or https.
            output_file: the name it gets.
            pooch: pooch's own argument; it is not used.

        Raises:
            InputError: it cannot be reached, the server refuses it, or it is an HTML page.
            OSError: it cannot be written, such as to a full disk.
        """
        tries, most = 0, self._size()
        while True:
            try:
                self._go_on(url)
                break
            except _BREAKS as error:
                tries = 0 if self._size() > most else tries
                most = max(most, self._size())
                self._wait(url, error, tries)
                tries += 1
            except requests.RequestException as error:
                raise InputError(
                    public(url), f"cannot be downloaded: {one_line(str(error))}; {self._instead}"
                ) from None
        self._version.unlink(missing_ok=True)
        self._partial.replace(output_file)

    def _wait(self, url: str, error: Exception, tries: int) -> None:
        """Wait before the next try, or give up: at once where nobody has ever answered."""
        if not self._answered:
            raise InputError(public(url), f"cannot be reached: {reason(error)}; {self._instead}") from None
        if tries + 1 >= _TRIES:
            kept = f"; what is there is kept in {self._partial}, the same command goes on" if self._size() else ""
            raise InputError(public(url), f"{reason(error)}, {_TRIES} times{kept}") from None
        say(f"{public(url)}: {reason(error)}; trying again")
        time.sleep(_PAUSE_SECONDS * 2**tries)

    def _go_on(self, url: str) -> None:
        """Download what is missing, in one connection."""
        with requests.get(url, headers=self._headers(), stream=True, timeout=_TIMEOUT_SECONDS) as response:
            self._answered = True
            _check_status(url, response)
            start = self._start(response)
            if start is not None:
                self._save(url, response, start)

    def _headers(self) -> dict[str, str]:
        """Return the request's headers: of a file of which a part is there, only the rest is asked for."""
        headers = {"User-Agent": f"mpisign/{__version__}", "Accept-Encoding": "identity"}
        version = self._version.read_text() if self._version.exists() else ""
        if version and self._size():
            headers |= {"Range": f"bytes={self._size()}-", "If-Range": version}
        return headers

    def _start(self, response: requests.Response) -> int | None:
        """Return where in the file the answer's bytes belong; None where all of them are there already."""
        answer = response.headers.get("Content-Range", "")
        if response.status_code == 416 and self._size() and answer == f"bytes */{self._size()}":
            return None
        if response.status_code == 200:
            return 0
        same = _version(response) in ("", self._version.read_text() if self._version.exists() else "")
        if response.status_code == 206 and same and answer.startswith(f"bytes {self._size()}-"):
            return self._size()
        self._version.unlink(missing_ok=True)  # the next try asks for the whole file
        raise Broken(f"the server sent another part than it was asked for ({answer or response.status_code})")

    def _save(self, url: str, response: requests.Response, start: int) -> None:
        """Write the answer's bytes from `start` on; raise Broken where it ends early."""
        length, plain = response.headers.get("Content-Length", ""), "Content-Encoding" not in response.headers
        total = start + int(length) if length.isdecimal() and plain else None
        self._check_room(total)
        try:
            self._write(url, response, start, total)
            broken = total not in (None, self._size())
        except _READING:
            broken = True
        if broken:
            of = "" if total is None else f" of {total}"
            raise Broken(f"the connection broke after {self._size()}{of} bytes")

    def _write(self, url: str, response: requests.Response, start: int, total: int | None) -> None:
        """Write the answer's bytes from `start` on. An HTML page is refused before anything is overwritten by it."""
        blocks = response.iter_content(_BLOCK_BYTES)
        first = next(blocks, b"")
        if start == 0 and first.lstrip()[:1] == b"<":
            what = "expected LIBSVM text, this is an HTML page; look for the address of the file itself"
            raise InputError(public(url), what)
        if start == 0:
            self._version.unlink(missing_ok=True)  # a kill between the two leaves a part that is not gone on with
        expected = None if total is None else _megabytes(total)
        with self._partial.open("ab" if start else "wb") as file, Progress(expected, False, "MB") as progress:
            if start == 0 and "Content-Encoding" not in response.headers:  # of which a range is no range of the text
                self._version.write_text(_version(response))
            progress.at(f"downloading {public(url)}")
            for block in itertools.chain([first], blocks):
                file.write(block)
                progress.show(_megabytes(file.tell()))

    def _check_room(self, total: int | None) -> None:
        """Raise OSError where the disk has no room for what is missing."""
        if total is not None and shutil.disk_usage(self._partial.parent).free < total - self._size():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._partial))

    def _size(self) -> int:
        return self._partial.stat().st_size if self._partial.exists() else 0


def _check_status(url: str, response: requests.Response) -> None:
    """Raise Broken for an answer that may be another one soon, InputError for one that will not."""
    status, answer = response.status_code, f"{response.status_code} {response.reason or ''}".strip()
    if status in _BUSY:
        raise Broken(f"the server answers {answer}")
    if status in (404, 410):
        raise NotThere(public(url), f"the server answers {answer}; expected the address of LIBSVM text")
    if status not in (200, 206, 416):
        raise InputError(public(url), f"the server answers {answer}")


def _version(response: requests.Response) -> str:
    """Return what If-Range may name: a strong ETag, or the date of the file; "" where the server gives neither."""
    tag = response.headers.get("ETag", "")
    return tag if re.fullmatch(r'"[^"]*"', tag) else response.headers.get("Last-Modified", "")


def _megabytes(size: int) -> int:
    return -(-size // 2**20)


def public(url: str) -> str:
    """Return an address without a user's name and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def reason(error: BaseException) -> str:
    """Return why a connection failed, in a few words: requests tells it in a chain of five errors."""
    while (deeper := error.__cause__ or error.__context__) is not None and not isinstance(error, Broken):
        if isinstance(deeper, OSError) and not isinstance(deeper, requests.RequestException) and deeper.strerror:
            return one_line(deeper.strerror)
        error = deeper
    return one_line(str(error)) or type(error).__name__
