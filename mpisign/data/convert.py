"""LIBSVM text to a data file: parsed by all ranks, chunk by chunk; written by rank 0.

Memory is bounded by a chunk of text, or by one line when that is longer. A compressed source is decompressed once, by
rank 0, into the folder of the work. Cut off, it is taken up again at the chunks that are done.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse

from mpisign.comm.communicator import Communicator
from mpisign.config.validation import InputError, in_utf8
from mpisign.data import compression
from mpisign.data.chunks import ChunkStore
from mpisign.data.csr import row_norms
from mpisign.data.file import DataWriter, Layout
from mpisign.data.libsvm import Text
from mpisign.data.tally import DatasetSummary
from mpisign.progress import Progress
from mpisign.storage.output_file import check_output


def _anything(layout: Layout) -> None:
    """Accept any data set."""


class Wanted(NamedTuple):
    """What a text is converted to.

    Attributes:
        dtype: float32 or float64.
        sparse: None for what the density says.
        dimension: the number of features; None for the highest index.
        overwrite: whether the output may be there already; it is replaced.
        origin: what the data file says it was made from; "" for the source's name.
        accept: called with what the file will hold, before anything is replaced; raises InputError, key the source.
    """

    dtype: str = "float64"
    sparse: bool | None = None
    dimension: int | None = None
    overwrite: bool = False
    origin: str = ""
    accept: Callable[[Layout], None] = _anything


def convert(source: Path, output: Path, wanted: Wanted, ranks: Communicator) -> None:
    """Make the data file `output` from LIBSVM text, plain or compressed by bzip2, xz or gzip.

    Raises InputError, on every rank, where the output cannot be written, another job makes it, or the source is
    refused; the unfinished work of a refused source is removed, that of a full disk is kept for the next time.
    """
    work = ChunkStore(output)
    with work.claimed(ranks, lambda: _check(source, output, wanted)):
        try:
            _convert(source, work, wanted, ranks)
        except InputError as error:
            if ranks.root and error.key == str(source):
                work.remove()
            raise


def _convert(source: Path, work: ChunkStore, wanted: Wanted, ranks: Communicator) -> None:
    origin: dict[str, str] = {}
    work.raise_collectively(ranks, lambda: origin.update(_prepare(source, work, wanted)) if ranks.root else None)
    compressed = compression.opener(source) is not None
    text = Text(work.folder / "text" if compressed else source, str(source), wanted.dtype)
    tally = DatasetSummary(work, text, str(source), wanted.dimension)

    def make(chunk: int) -> None:
        _parse(text, work, chunk)

    def assemble() -> None:
        tally.advance()
        layout = tally.layout(wanted.sparse, wanted.dtype)
        wanted.accept(layout)
        _assemble(work, text, tally, layout, origin)

    with Progress(text.chunks, quiet=not ranks.root, unit="chunks") as progress:
        progress.at(f"reading {source.name}")
        work.all_chunks(ranks, text.chunks, make, tally.advance if ranks.root else lambda: None, progress)
    work.raise_collectively(ranks, lambda: assemble() if ranks.root else None)


def _check(source: Path, output: Path, wanted: Wanted) -> None:
    check_output(output, wanted.overwrite)
    if not source.is_file():
        found = "this is no file" if source.exists() else "no such file"
        raise InputError(str(source), f"{found}; expected LIBSVM text, plain or compressed")
    if output.exists() and output.samefile(source):
        raise InputError(str(output), "expected another output than the source")


def _prepare(source: Path, work: ChunkStore, wanted: Wanted) -> dict[str, str]:
    """Before anything is parsed: the hash of the source, and its text when it is compressed."""
    with source.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    work.take_up(f"{sha256} {wanted.dtype} {Text.chunk_bytes}")
    text = work.folder / "text"
    if compression.opener(source) and not text.exists():
        with Progress(source.stat().st_size >> 20, quiet=False, unit="MB") as progress:
            progress.at(f"decompressing {source.name}")
            compression.decompress(source, text, progress)
    return {"source": in_utf8(wanted.origin or source.name), "source_sha256": sha256}


def _parse(text: Text, work: ChunkStore, chunk: int) -> None:
    """Parse a chunk: rows, entries, lowest and highest index; labels, norms, indptr, indices, values."""
    labels, (values, indices, indptr) = text.parse(chunk)
    ends = (indices.min(), indices.max()) if indices.size else (1, -1)
    head = np.array([len(labels), indices.size, *ends])
    work.save(chunk, head, labels, row_norms(values, indptr), indptr, indices, values)


def _assemble(work: ChunkStore, text: Text, tally: DatasetSummary, layout: Layout, origin: dict[str, str]) -> None:
    unfinished = work.folder / "data.h5"
    with DataWriter(unfinished, layout) as writer:
        for chunk in range(text.chunks):
            _, labels, norms, indptr, indices, values = work.load(chunk, 6)
            csr = (values, indices - np.int32(tally.base), indptr)
            features = scipy.sparse.csr_array(csr, shape=(len(labels), layout.d))
            writer.append(features, tally.signs(labels), norms)
        writer.finish({**origin, "label_values": sorted(tally.classes), "first_index": tally.base})
    work.finish(unfinished)
