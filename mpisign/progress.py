"""Progress on rank 0: a bar in a terminal, elsewhere a plain line every few seconds."""

import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

_LOG_SECONDS = 10.0


class Progress:
    """Counts iterations out of `total`; says nothing when quiet."""

    def __init__(self, total: int, quiet: bool):
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(total=total, disable=quiet or not self._terminal, unit="it", unit_scale=True)
        self._total, self._done, self._quiet, self._what = total, 0, quiet, ""
        self._spoke = time.monotonic()

    def at(self, what: str) -> None:
        """Name what runs now."""
        self._what = what
        self._bar.set_description(what)

    def add(self, iterations: int) -> None:
        """Count iterations that are done."""
        self._done += iterations
        self._bar.update(iterations)
        if not (self._quiet or self._terminal) and time.monotonic() - self._spoke > _LOG_SECONDS:
            self._spoke = time.monotonic()
            print(f"mpisign: {self._done} of {self._total} iterations, {self._what}", file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
