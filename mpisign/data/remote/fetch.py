"""Fetch a published data set, or LIBSVM text at an address: download it into the cache, check it, convert it.

    FOLDER/1a2b3c4d-a9a            the bytes as the server gave them; the number is of the address
    FOLDER/1a2b3c4d-a9a.sha256     their sha256 at the first fetch, as `sha256sum` writes it: other bytes are refused

FOLDER is XDG_CACHE_HOME/mpisign/data, by default in ~/.cache.
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import pooch

from mpisign import caches
from mpisign.comm.communicator import Communicator
from mpisign.config.validation import InputError, closest, one_line, shown
from mpisign.data.convert import Wanted, convert
from mpisign.data.file import Layout
from mpisign.data.remote.download import Download, NotThere, public
from mpisign.data.remote.published import PUBLISHED
from mpisign.storage.output_file import check_output, lock_output, replace_durably

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_LONGEST_NAME = 150


class Found(NamedTuple):
    """Where a data set was found, its file in the cache, and whether it was downloaded just now."""

    url: str
    path: Path
    new: bool


class Source(NamedTuple):
    """What is fetched.

    Attributes:
        name: what the output is called where it has no other name.
        addresses: where it is looked for, in this order.
        dimension: the number of features; None where it is not known.
        check: raises InputError, key its first argument, for sizes that are not the published ones.
    """

    name: str
    addresses: list[str]
    dimension: int | None = None
    check: Callable[[str, Layout], None] = lambda name, layout: None


def source(text: str) -> Source:
    """Return what a name or an address stands for.

    Raises:
        InputError: it is neither the name of a published data set nor an address by http or https.
    """
    if text in PUBLISHED:
        known = PUBLISHED[text]
        return Source(text, known.addresses(), known.d, known.refuse_other)
    try:
        parts = urlsplit(text)
        web = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # such as http://[
        web = False
    if not web:
        known_names = closest(text, list(PUBLISHED))
        raise InputError(
            "fetch", f"no published data set {shown(text)}, and no address by http or https; {known_names}"
        )
    name = Path(unquote(parts.path)).name
    return Source(name.removesuffix(next((end for end in _COMPRESSED if name.endswith(end)), "")), [text])


def output_of(wanted: Source) -> Path:
    """Return the data file that is written where no other name is given, in the folder where we are."""
    if not wanted.name:
        raise InputError(
            "-o", f"expected a name for the output: {public(wanted.addresses[0])} does not end in that of a file"
        )
    return Path(f"{wanted.name}.h5")


def fetch(wanted: Source, output: Path, form: Wanted, ranks: Communicator) -> None:
    """Make the data file `output` from a data set that is published elsewhere.

    Args:
        wanted: what is fetched, and from where.
        output: the data file.
        form: what it is converted to.
        ranks: rank 0 downloads, all of them convert.

    Raises:
        InputError: on every rank; nothing can be had from there or written here, or it is not what was expected.
    """
    found = ranks.raise_collectively(lambda: _downloaded(wanted, output, form) if ranks.root else None)
    url, file = ranks.texts(f"{found.url}\n{found.path}" if found else "")[0].split("\n")
    read: list[Layout] = []

    def accept(layout: Layout) -> None:
        read.append(layout)
        wanted.check(file, layout)

    dimension = form.dimension or wanted.dimension
    try:
        convert(Path(file), output, form._replace(dimension=dimension, origin=public(url), accept=accept), ranks)
    except InputError as error:
        if error.key != file:
            raise
        if found and found.new and not (read or form.dimension):  # no data set: the next fetch asks for it again
            _forget(found.path)
        raise InputError(public(url), error.complaint) from None


def _downloaded(wanted: Source, output: Path, form: Wanted) -> Found:
    """Return where the data set is, downloaded where the cache did not have it."""
    check_output(output, form.overwrite)
    folder = caches.folder("data")
    if folder is None:
        what = "expected a folder that can be written, for the download; set XDG_CACHE_HOME to one"
        raise InputError("XDG_CACHE_HOME", what)
    missing: NotThere | None = None
    for url in sorted(wanted.addresses, key=lambda url: not _place(folder, url).exists()):
        try:
            return _retrieved(url, _place(folder, url), output)
        except NotThere as error:
            missing = missing or error
    assert missing is not None
    raise missing


def _retrieved(url: str, path: Path, output: Path) -> Found:
    """Return the file of an address, whose bytes are those of the first fetch."""
    elsewhere = f"download it on another machine, then: mpisign data convert {_base(url)} {output}"
    pooch.get_logger().setLevel("ERROR")
    try:
        with lock_output(path):
            pinned = _pinned(path)
            download = Download(path.with_name(f"{path.name}.partial"), elsewhere)
            pooch.retrieve(url, f"sha256:{pinned}" if pinned else None, path.name, path.parent, downloader=download)
            if not pinned:
                _pin(path)
    except KeyboardInterrupt as error:
        error.add_note(f"downloading {public(url)}")
        error.add_note("what is there is kept, the same command goes on")
        raise
    except InputError:
        raise
    except ValueError:  # pooch's, for another hash
        what = f"these are not the bytes of the first fetch, whose sha256 is in {_pin_file(path)}"
        raise InputError(public(url), f"{what}; remove that file to take the new ones") from None
    except OSError as error:
        kept = "what is there is kept, the same command goes on"
        raise InputError(str(error.filename or path), f"{error.strerror or one_line(str(error))}; {kept}") from None
    return Found(url, path, not pinned)


def _place(folder: Path, url: str) -> Path:
    """Return where in the cache the file of an address is."""
    name = re.sub(r"[^\w.+-]", "_", _base(url))[-_LONGEST_NAME:]
    return folder / f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{name}"


def _base(url: str) -> str:
    """Return the last part of an address's path."""
    return Path(unquote(urlsplit(url).path)).name or "text"


def _pin_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _pinned(path: Path) -> str | None:
    """Return the sha256 of the first fetch; None where there was none.

    Raises:
        InputError: the file that should hold it holds something else.
    """
    if not _pin_file(path).exists():
        return None
    found = re.match(r"[0-9a-f]{64}\b", _pin_file(path).read_text(errors="replace"))
    if found is None:
        raise InputError(
            str(_pin_file(path)), "expected a sha256 as sha256sum writes it; remove this file to fetch anew"
        )
    return found[0]


def _pin(path: Path) -> None:
    unfinished = path.with_name(f"{path.name}.sha256.tmp")
    unfinished.write_text(f"{pooch.file_hash(str(path))}  {path.name}\n")
    replace_durably(unfinished, _pin_file(path))


def _forget(path: Path) -> None:
    """Remove a file from the cache."""
    path.unlink(missing_ok=True)
    _pin_file(path).unlink(missing_ok=True)
