"""Write a trajectory in memory alone: what a file would hold, in a buffer."""

from collections.abc import Mapping
from io import BytesIO
from types import TracebackType
from typing import Any

import h5py

from mpisign.storage.writer import TrajectoryWriter


class MemoryWriter(TrajectoryWriter):
    """A trajectory writer like a file's, into a buffer: there is nothing to lock, to commit or to resume.

    Args:
        buffer: it becomes what the file would be.
        attributes: those of the file.
    """

    keeps_states = False

    def __init__(self, buffer: BytesIO, attributes: Mapping[str, Any]):
        self._file = h5py.File(buffer, "w")
        self.check = lambda: None
        self.longest_save = 0.0
        self._begin(attributes)

    def commit_due(self) -> bool:
        """Return False: nothing is lost when the process ends but the buffer itself."""
        return False

    def commit(self, began: float | None = None) -> None:
        """Do nothing: the buffer is whole at the end."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
