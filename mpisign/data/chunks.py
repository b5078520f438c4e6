"""Work on an output that can be cut off and taken up again: a folder beside it, with the chunks that are done.

    DST.h5.part/lock          who makes DST.h5 holds it
    DST.h5.part/made-from     what the chunks were made from; other work is not taken up
    DST.h5.part/000123        a chunk: its arrays, one after the other in NumPy's format

Whatever else is there under its own name is whole: it is written under another name, then renamed.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from mpisign.comm.communicator import Communicator
from mpisign.config.validation import InputError
from mpisign.progress import Progress
from mpisign.storage.output_file import lock_output, part_of, replace_durably

_LOCK = "lock"


class ChunkStore:
    """The folder of unfinished work beside `output`; every rank has one."""

    def __init__(self, output: Path):
        self.output, self.folder = output, part_of(output)
        self._label = self.folder / "made-from"

    @contextmanager
    def claimed(self, ranks: Communicator, check: Callable[[], None]) -> Iterator[None]:
        """While this lasts, no other job makes the output; every rank calls it. check: what the root does before.

        Raises InputError, on every rank, for what `check` complains of, where another job makes the output, and where
        the folder cannot be.
        """
        with ExitStack() as stack:

            def lock() -> None:
                check()
                stack.enter_context(self._locked(new=not self.output.exists()))

            self.raise_collectively(ranks, lambda: lock() if ranks.root else None)
            yield

    @contextmanager
    def _locked(self, new: bool) -> Iterator[None]:
        if self.folder.exists() and not self.folder.is_dir():
            what = "expected a folder with unfinished work of mpisign, or none; remove this file if no job writes it"
            raise InputError(str(self.folder), what)
        try:
            with lock_output(self.output, new, self.folder / _LOCK):
                yield
        finally:
            with suppress(OSError):  # unless something is kept, or the next job has it already
                self.folder.rmdir()

    def take_up(self, made_from: str) -> None:
        """Keep the chunks that were made from the same, and remove others.

        Raises:
            InputError: the folder is not ours.
        """
        if self._label.is_file() and self._label.read_text() != made_from:
            self.remove()
        if self._label.is_file():
            return
        unfinished = self._label.with_suffix(".tmp")
        if any(path.name not in (_LOCK, unfinished.name) for path in self.folder.iterdir()):
            raise InputError(str(self.folder), "expected a folder with unfinished work of mpisign, or none")
        unfinished.write_text(made_from)
        replace_durably(unfinished, self._label)

    def done(self, chunk: int) -> bool:
        """Return whether a chunk is there, whole."""
        return self._path(chunk).exists()

    def save(self, chunk: int, *arrays: "np.ndarray[Any, Any]") -> None:
        """Write a chunk's arrays. Raises OSError where the disk is full."""
        unfinished = self._path(chunk).with_suffix(".tmp")
        with unfinished.open("wb") as file:
            for array in arrays:
                # What numpy.save does, but a full disk is told by its error number.
                np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
                file.write(np.ascontiguousarray(array).data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._path(chunk))

    def load(self, chunk: int, count: int) -> list[Any]:
        """Return the first `count` arrays of a chunk."""
        with self._path(chunk).open("rb") as file:
            return [np.load(file, allow_pickle=False) for _ in range(count)]

    def finish(self, unfinished: Path) -> None:
        """Give the output, which is whole now, its name, and remove the rest."""
        replace_durably(unfinished, self.output)
        self.remove()

    def remove(self) -> None:
        """Remove all but the lock: no other job begins before this one is through.

        The label goes last: what a kill leaves is ours still.
        """
        with suppress(OSError):
            for path in sorted(self.folder.iterdir(), key=lambda path: path == self._label):
                if path.name != _LOCK:
                    path.unlink()

    def _path(self, chunk: int) -> Path:
        return self.folder / f"{chunk:06d}"

    def raise_collectively(self, ranks: Communicator, step: Callable[[], None]) -> None:
        """Take a step on every rank; raise everywhere what the first of them complains of."""
        ranks.raise_collectively(lambda: self._complaining(step))

    def _complaining(self, step: Callable[[], None]) -> None:
        """Take a step; what the system refuses is a InputError."""
        try:
            step()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error).splitlines()[0]
            kept = f"; what is done is kept in {self.folder}, the same command goes on" if self._label.is_file() else ""
            raise InputError(str(error.filename or self.output), f"{reason}{kept}") from None

    def all_chunks(
        self,
        ranks: Communicator,
        chunks: int,
        make: Callable[[int], None],
        look: Callable[[], None],
        progress: Progress,
    ) -> None:
        """Make the chunks that are not done, one a rank in each round; `look` at those of the rounds before.

        The ranks agree after each round, so that the complaint that is raised is the first in the order of the chunks.
        """
        for first in range(0, chunks, ranks.size):

            def step(chunk: int = first + ranks.rank) -> None:
                look()
                if chunk < chunks and not self.done(chunk):
                    make(chunk)

            self.raise_collectively(ranks, step)
            progress.show(min(first + ranks.size, chunks))
