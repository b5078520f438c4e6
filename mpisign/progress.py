"""Progress on rank 0: a bar in a terminal, elsewhere a plain line every few seconds."""

import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from tqdm import tqdm

_LOG_SECONDS = 5.0
_LOOK_SECONDS = 0.1


class Progress:
    """Counts iterations, or another unit, out of `total`; says nothing when quiet."""

    def __init__(self, total: int, quiet: bool, unit: str = "iterations"):
        self._terminal, self._unit = sys.stderr.isatty(), unit
        short = "it" if unit == "iterations" else f" {unit}"
        self._bar = tqdm(total=total, disable=quiet or not self._terminal, unit=short, unit_scale=True)
        self._total, self._quiet, self._before, self._length, self._what = total, quiet, 0, 0, ""
        self._spoke = time.monotonic()

    def at(self, what: str) -> None:
        """Name what is counted next."""
        self._what = what
        self._bar.set_description(what)

    def over(self, iterations: int) -> Iterator[int]:
        """0, 1, ..., iterations - 1; whatever was counted before is done by now.

        The clock is looked at after a stride that doubles until one takes a tenth of a second, so that counting costs
        next to nothing, however short or long an iteration is.
        """
        self._before, self._length = self._before + self._length, iterations
        k, stride, looked = 0, 1, time.monotonic()
        while k < iterations:
            yield from range(k, min(k + stride, iterations))
            k = min(k + stride, iterations)
            self.show(self._before + k)
            now = time.monotonic()
            stride, looked = (2 * stride if now - looked < _LOOK_SECONDS else stride), now

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
