"""Progress on rank 0: a bar in a terminal, elsewhere a plain line every few seconds."""

import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

_LOG_SECONDS = 5.0


class Progress:
    """Counts iterations, or another unit, out of `total`; says nothing when quiet."""

    def __init__(self, total: int, quiet: bool, unit: str = "iterations"):
        self._terminal, self._unit = sys.stderr.isatty(), unit
        short = "it" if unit == "iterations" else f" {unit}"
        self._bar = tqdm(total=total, disable=quiet or not self._terminal, unit=short, unit_scale=True)
        self._total, self._quiet, self._before, self._what = total, quiet, 0, ""
        self._spoke = time.monotonic()

    def at(self, what: str, before: int = 0) -> None:
        """Name what is counted next, from 0 again; so many of the whole were done `before` it."""
        self._what, self._before = what, before
        self._bar.set_description(what)

    def count(self, done: int) -> None:
        """So many of what was named are done."""
        self.show(self._before + done)

    def show(self, done: int) -> None:
        """So many are done."""
        self._bar.update(done - self._bar.n)
        if not (self._quiet or self._terminal) and time.monotonic() - self._spoke > _LOG_SECONDS:
            self._spoke = time.monotonic()
            print(f"mpisign: {done} of {self._total} {self._unit}; {self._what}", file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
