"""Work on an output that can be cut off and taken up again: a folder beside it, with the chunks that are done.

    DST.h5.part/made-from     what the chunks were made from; other work is not taken up
    DST.h5.part/000123        a chunk: its arrays, one after the other in NumPy's format

Whatever is there under its own name is whole: it is written under another name, then renamed.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mpisign.output import part_of, replace_durably
from mpisign.progress import Progress
from mpisign.ranks import Ranks
from mpisign.settings import BadInput


class Work:
    """The folder of unfinished work beside `output`; every rank has one."""

    def __init__(self, output: Path):
        self.output, self.folder = output, part_of(output)

    def take_up(self, made_from: str) -> None:
        """Keep the chunks that were made from the same, remove others. Raises BadInput when the folder is not ours."""
        if self.folder.exists() and not self.folder.is_dir():
            what = "expected a folder with unfinished work of mpisign, or none; remove this file if no job writes it"
            raise BadInput(str(self.folder), what)
        label = self.folder / "made-from"
        if label.is_file() and label.read_text() != made_from:
            self.remove()
        if not label.is_file() and self.folder.exists() and any(self.folder.iterdir()):
            raise BadInput(str(self.folder), "expected a folder with unfinished work of mpisign, or none")
        self.folder.mkdir(parents=True, exist_ok=True)
        label.write_text(made_from)

    def done(self, chunk: int) -> bool:
        return self._path(chunk).exists()

    def save(self, chunk: int, *arrays: "np.ndarray[Any, Any]") -> None:
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
        """The first `count` arrays of a chunk."""
        with self._path(chunk).open("rb") as file:
            return [np.load(file, allow_pickle=False) for _ in range(count)]

    def finish(self, unfinished: Path) -> None:
        """Give the output, which is whole now, its name, and remove the rest."""
        replace_durably(unfinished, self.output)
        self.remove()

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, chunk: int) -> Path:
        return self.folder / f"{chunk:06d}"

    def together(self, ranks: Ranks, step: Callable[[], None]) -> None:
        """Take a step on every rank; raise everywhere what the first of them complains of."""
        ranks.together(lambda: self._complaining(step))

    def _complaining(self, step: Callable[[], None]) -> None:
        """Take a step; what the system refuses is a BadInput."""
        try:
            step()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error).splitlines()[0]
            kept = f"; what is done is kept in {self.folder}, the same command goes on" if self.folder.is_dir() else ""
            raise BadInput(str(error.filename or self.output), f"{reason}{kept}") from None

    def rounds(
        self, ranks: Ranks, chunks: int, make: Callable[[int], None], look: Callable[[], None], progress: Progress
    ) -> None:
        """Make the chunks that are not done, one a rank in each round; `look` at those of the rounds before.

        The ranks agree after each round, so that the complaint that is raised is the first in the order of the chunks.
        """
        for first in range(0, chunks, ranks.size):

            def step(chunk: int = first + ranks.rank) -> None:
                look()
                if chunk < chunks and not self.done(chunk):
                    make(chunk)

            self.together(ranks, step)
            progress.show(min(first + ranks.size, chunks))
