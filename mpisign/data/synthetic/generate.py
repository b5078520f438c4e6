"""Synthetic data files, the same from a seed on any number of ranks: block b of rows is a function of (seed, b)."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from threadpoolctl import threadpool_limits

from mpisign.comm.communicator import Communicator
from mpisign.data.chunks import ChunkStore
from mpisign.data.csr import row_norms
from mpisign.data.file import DataWriter, Layout
from mpisign.data.synthetic.base import Maker
from mpisign.data.synthetic.epsilon import Epsilon
from mpisign.data.synthetic.rcv1 import Rcv1
from mpisign.progress import Progress
from mpisign.storage.output_file import check_output

KINDS: dict[str, type[Maker]] = {"epsilon": Epsilon, "rcv1": Rcv1}


class Recipe(NamedTuple):
    """What determines a file. dtype: float32 or float64, of what is stored; it is computed in float64."""

    like: str
    n: int
    d: int
    seed: int
    dtype: str

    def __str__(self) -> str:
        return " ".join(["synth", *(f"--{name} {value}" for name, value in self._asdict().items())])


def synthesise(recipe: Recipe, output: Path, overwrite: bool, ranks: Communicator) -> None:
    """Make the data file `output`: blocks by all ranks, the file by rank 0; cut off, it can be taken up again.

    Raises InputError, on every rank, where the output cannot be written or another job makes it. The bits are the same
    on one kind of processor, whatever the ranks; n only says where the rows end.
    """
    work = ChunkStore(output)
    with work.claimed(ranks, lambda: check_output(output, overwrite)):
        _synthesise(recipe, work, ranks)


def _synthesise(recipe: Recipe, work: ChunkStore, ranks: Communicator) -> None:
    work.raise_collectively(ranks, lambda: work.take_up(str(recipe)) if ranks.root else None)
    # More BLAS threads would add in another order.
    with threadpool_limits(limits=1):
        maker = KINDS[recipe.like](recipe.d, recipe.seed)
        blocks = -(-recipe.n // maker.block_rows)
        with Progress(blocks, quiet=not ranks.root, unit="blocks") as progress:
            progress.at(f"making {work.output.name}")
            work.all_chunks(ranks, blocks, lambda block: _make(maker, recipe, work, block), lambda: None, progress)
    work.raise_collectively(ranks, lambda: _assemble(recipe, work, blocks) if ranks.root else None)


def _make(maker: Maker, recipe: Recipe, work: ChunkStore, block: int) -> None:
    """Make a block: entries; labels, norms, then values, and for a sparse one indices and indptr."""
    rows = min(maker.block_rows, recipe.n - block * maker.block_rows)
    labels, features = maker.block(block)
    places: list[np.ndarray[Any, Any]] = []
    if isinstance(features, scipy.sparse.csr_array):
        indptr = features.indptr[: rows + 1].astype(np.int64)
        values, places = features.data[: indptr[-1]].astype(recipe.dtype), [features.indices[: indptr[-1]], indptr]
    else:
        indptr = np.arange(rows + 1) * recipe.d
        values = features[:rows].astype(recipe.dtype)
    norms = row_norms(values.ravel(), indptr)
    work.save(block, np.array([values.size]), labels[:rows], norms, values, *places)


def _assemble(recipe: Recipe, work: ChunkStore, blocks: int) -> None:
    nnz, sparse = sum(int(work.load(block, 1)[0][0]) for block in range(blocks)), KINDS[recipe.like].sparse
    unfinished = work.folder / "data.h5"
    with DataWriter(unfinished, Layout(recipe.n, recipe.d, nnz, sparse, recipe.dtype)) as writer:
        for block in range(blocks):
            _, labels, norms, *arrays = work.load(block, 6 if sparse else 4)
            csr = scipy.sparse.csr_array(tuple(arrays), shape=(len(labels), recipe.d)) if sparse else None
            writer.append(arrays[0] if csr is None else csr, labels, norms)
        writer.finish({"source": str(recipe), "source_sha256": "", "label_values": [-1.0, 1.0]})
    work.finish(unfinished)
