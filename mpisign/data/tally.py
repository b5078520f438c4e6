"""What the chunks of a text add up to, taken in the order of the file: sizes, classes, the first index."""

import numpy as np

from mpisign.arrays import Floats, Signs
from mpisign.config.validation import InputError
from mpisign.data.chunks import ChunkStore
from mpisign.data.file import Layout
from mpisign.data.libsvm import Text

DENSE = 0.25
"""The density above which a file is dense unless it is told."""


class DatasetSummary:
    """Rank 0's sums over the chunks that are done. base: the first index, 0 when any line has the index 0, else 1."""

    def __init__(self, work: ChunkStore, text: Text, name: str, dimension: int | None):
        self._work, self._text, self._name, self._dimension = work, text, name, dimension
        self._next, self.n, self.nnz = 0, 0, 0
        self.base, self._highest = 1, np.full(text.chunks, -1)
        self.classes: list[float] = []

    def advance(self) -> None:
        """Count the chunks that are done by now.

        Raises:
            InputError: a line has a third label, or is too long; the first one.
        """
        while self._next < self._text.chunks and self._work.done(self._next):
            (rows, nnz, lowest, highest), labels = self._work.load(self._next, 2)
            self.n, self.nnz, self.base = self.n + int(rows), self.nnz + int(nnz), min(self.base, int(lowest))
            self._highest[self._next] = highest
            self._see(labels)
            self._check_dimension(self._next)
            self._next += 1

    def layout(self, sparse: bool | None, dtype: str) -> Layout:
        """Return all chunks are counted: what the file will hold. Raises InputError when that is no data set."""
        if self.n == 0:
            raise InputError(self._name, "expected LIBSVM text, found no line with data")
        if len(self.classes) < 2:
            raise InputError(self._name, f"expected labels of two classes, all are {self.classes[0]:g}")
        for chunk in range(self._text.chunks):  # whether an index is 0 was not known before
            self._check_dimension(chunk)
        d = self._dimension or max(1, int(self._highest.max()) + 1 - self.base)
        return Layout(self.n, d, self.nnz, self.nnz <= DENSE * self.n * d if sparse is None else sparse, dtype)

    def signs(self, labels: Floats) -> Signs:
        """Return the larger label is +1."""
        return np.where(labels == max(self.classes), 1, -1).astype(np.int8)

    def _see(self, labels: Floats) -> None:
        values, rows = np.unique(labels, return_index=True)
        for value, row in sorted(zip(values.tolist(), rows.tolist(), strict=True), key=lambda pair: pair[1]):
            if value not in self.classes:
                if len(self.classes) == 2:
                    a, b = sorted(self.classes)
                    complaint = f"expected labels of two classes, {a:g} and {b:g} so far, found {value:g}"
                    raise self._text.refuse_row(self._next, row, complaint)
                self.classes.append(value)

    def _check_dimension(self, chunk: int) -> None:
        if self._dimension is None or self._highest[chunk] < self._dimension + self.base:
            return
        features = self._text.parse(chunk)[1]
        limit = self._dimension + self.base - 1
        entry = int(np.argmax(features.indices > limit))
        row = int(np.searchsorted(features.indptr, entry, side="right")) - 1
        complaint = f"expected indices from {self.base} to {limit} (--dimension), found {features.indices[entry]}"
        raise self._text.refuse_row(chunk, row, complaint)
